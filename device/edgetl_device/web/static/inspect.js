// Puts the inspection page together.

import { at, set } from "./dom.js";
import { onInspection, refresh } from "./inspection.js";
import { lost, overlay, show, showKnown, showShift, startShift } from "./inspect-picture.js";
import { showSettings, startSettings } from "./inspect-settings.js";
import { showTaught, startTeaching } from "./inspect-teach.js";
import { watch } from "./live.js";
import { startSession } from "./masthead.js";
import { showPlaces } from "./places.js";
import { t, translate } from "./words.js";

const STATUS_EVERY_MS = 5000;

async function update() {
  try {
    await refresh();
  } catch (error) {
    console.info(error.message); // the live picture says that the device is away, and asks again
  }
}

onInspection((inspection) => {
  showKnown(inspection);
  showTaught(inspection);
  showShift(inspection.shift);
  showSettings(inspection);
});

function onMessage(message) {
  show(message);
  if (message.inspection) showShift(message.inspection.shift);
}

translate(document);
showPlaces("inspect");
document.title = `${t("view.inspect")} · edgetl`;
startTeaching(update);
startShift(update);
startSettings(update);
startSession();
await update();
const showCameras = (cameras = []) => {
  at("of-camera").hidden = cameras.length < 2;
  if (cameras.length > 1) set(at("of-camera"), t("inspect.camera", { camera: cameras[0].camera }));
};
const ofTheFirst = ({ camera, cameras }) => (camera ?? null) === (cameras?.[0].camera ?? null); // it is the one inspected
watch(onMessage, lost, overlay, { isChosen: ofTheFirst, show() {}, showCameras });
setInterval(() => document.hidden || update(), STATUS_EVERY_MS);
