// The page's head: whether the camera delivers and how fast, and signing out.

import { get, post } from "./api.js";
import { at, set } from "./dom.js";
import { number, t } from "./words.js";

const pulse = at("pulse");

/** How the camera is doing. */
export function showPulse({ fps, inference_ms: milliseconds, error }) {
  pulse.dataset.state = error ? "down" : "live";
  const values = { fps: number(fps, 0), ms: milliseconds === null ? "" : number(milliseconds, milliseconds < 10 ? 1 : 0) };
  set(at("pulse-text"), t(error ? "pulse.no-camera" : values.ms ? "pulse.fps-ms" : "pulse.fps", values));
}

/** The connection is gone. */
export function showLost(reason) {
  pulse.dataset.state = "down";
  set(at("pulse-text"), t(reason ? "pulse.full" : "pulse.lost"));
}

/** Wire the button that signs out, where there is a password. */
export function startSession() {
  at("sign-out").addEventListener("click", async () => {
    await post("logout");
    location.reload();
  });
  get("session").then(({ password }) => {
    at("sign-out").hidden = !password;
  });
}
