// The pulse in the page's head: whether the camera delivers, and how fast.

import { at, set } from "./dom.js";

const pulse = at("pulse");

/** How the camera is doing. */
export function showPulse({ fps, inference_ms: milliseconds, error }) {
  pulse.dataset.state = error ? "down" : "live";
  const speed = milliseconds === null ? "" : ` · ${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
  set(at("pulse-text"), error ? "no camera" : `${fps.toFixed(0)} fps${speed}`);
}

/** The connection is gone. */
export function showLost(reason) {
  pulse.dataset.state = "down";
  set(at("pulse-text"), reason ? "too many viewers" : "reconnecting…");
}
