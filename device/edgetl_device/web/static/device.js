// How the device is doing: camera, speed, store, drift; and another bundle.

import { send } from "./api.js";
import { at, h } from "./dom.js";
import { toast, told } from "./toast.js";
import { nameWindow } from "./views.js";
import { number, size, t } from "./words.js";

const MAX_BUNDLE = 64 * 2 ** 20;

/** Wire the installing of bundles; `changed()` is called after one. */
export function startDevice(changed) {
  at("bundle-file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (!file) return;
    if (file.size > MAX_BUNDLE)
      return told(t("device.too-large", { file: file.name, size: size(file.size) }), true);
    toast("working", t("device.installing", { file: file.name }));
    try {
      const { name } = await send("install", file, "application/octet-stream");
      told(t("device.installed", { name }));
      changed();
    } catch (error) {
      told(error.message, true);
    }
  });
}

/** Show a status. */
export function showDevice(status) {
  const { bundle, hidden, runtime, camera, store_bytes: used, free_bytes: free, drift } = status;
  at("bundle").textContent = bundle.name;
  nameWindow(bundle.name);
  const speed = { fps: number(camera.fps, 1), ms: number(camera.inference_ms ?? 0, 1) };
  const facts = [
    ...camerasOf(status),
    [t("device.recognition"), t(camera.inference_ms === null ? "device.fps" : "device.fps-ms", speed)],
    [t("device.frames"), t("device.dropped", camera)],
    [t("device.reconnects"), camera.reconnects ? t("device.times", { count: camera.reconnects }) : t("device.none")],
    [t("device.drift"), drifted(drift), drift?.state === "drifting"],
    [t("device.hidden"), hidden.join(", ")],
    [t("device.strangers"), stranger(status)],
    [t("device.runtime"), runtime],
    [t("device.store"), t("device.bytes", { used: size(used), free: size(free) })],
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

/** A fact for each camera, under its name where it has one. */
function camerasOf({ camera, cameras = [] }) {
  if (!cameras.length) return [[t("device.camera"), camera.error ?? camera.camera, camera.error]];
  const named = (name) => (name === null ? t("device.camera") : t("device.camera-of", { name }));
  return cameras.map(({ camera: name, device, error }) => [named(name), error ?? device, error]);
}

/** Whether anything can be called unknown; if not, what helps. */
function stranger({ strangers, bundle, labels }) {
  if (strangers.recognised) return t("device.called-unknown");
  if (bundle.labels.length || labels.length > 1) return strangers.reason;
  return t(labels.length ? "device.strangers-second" : "device.strangers-first");
}

/** The drift of the scene, in words. */
function drifted(drift) {
  if (!drift) return null;
  if (drift.state === "drifting") return t("device.drifting");
  return t(drift.state === "steady" ? "device.steady" : "device.drift-unknown");
}
