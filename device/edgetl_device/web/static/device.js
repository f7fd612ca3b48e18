// How the device is doing: camera, speed, store, drift; and another bundle.

import { send } from "./api.js";
import { at, counted, h, say, size } from "./dom.js";

const MAX_BUNDLE = 64 * 2 ** 20;

/** Wire the installing of bundles; `changed()` is called after one. */
export function startDevice(changed) {
  at("bundle-file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (!file) return;
    if (file.size > MAX_BUNDLE)
      return say(at("device-message"), `${file.name} is ${size(file.size)}: use “edgetl-device install” for it`, true);
    say(at("device-message"), `Installing ${file.name}…`);
    try {
      const { name } = await send("install", file, "application/octet-stream");
      say(at("device-message"), `${name} is installed.`);
      changed();
    } catch (error) {
      say(at("device-message"), error.message, true);
    }
  });
}

/** Show a status. */
export function showDevice(status) {
  const { bundle, hidden, runtime, camera, store_bytes: used, free_bytes: free, drift, strangers } = status;
  at("bundle").textContent = bundle.name;
  document.title = `${bundle.name} · edgetl`;
  const each = camera.inference_ms === null ? "" : `, ${camera.inference_ms.toFixed(1)} ms each`;
  const facts = [
    ["Camera", camera.error ?? camera.camera, camera.error],
    ["Recognition", `${camera.fps.toFixed(1)} frames a second${each}`],
    ["Frames", `${camera.frames.toLocaleString("en")}, ${camera.dropped.toLocaleString("en")} dropped`],
    ["Reconnects", camera.reconnects ? counted(camera.reconnects, "time") : "none"],
    ["Drift", drifted(drift), drift?.state === "drifting"],
    ["Hidden", hidden.join(", ")],
    ["Strangers", strangers.recognised ? "called unknown" : strangers.reason, !strangers.recognised],
    ["Runtime", runtime],
    ["Store", `${size(used)}, ${size(free)} free`],
  ];
  at("facts").replaceChildren(
    ...facts
      .filter(([, value]) => value)
      .flatMap(([name, value, failed]) => [
        h("dt", { textContent: name }),
        h("dd", { textContent: value, "data-state": failed ? "failed" : "fine" }),
      ]),
  );
}

/** The drift of the scene, in words. */
function drifted(drift) {
  if (!drift) return null;
  if (drift.state === "drifting") return "the scene has changed: teach it what it gets wrong";
  return drift.state === "steady" ? "none" : "not known yet";
}
