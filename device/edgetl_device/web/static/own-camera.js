// The camera of the device that shows this page, such as a phone's: a second source of pictures to teach.

import { at, say } from "./dom.js";
import { onView } from "./views.js";
import { t } from "./words.js";

const MOST = 1280; // pixels of the longer side that are sent

const video = at("own");
const button = at("own-camera");

let stream = null;

/** Wire the button. Where browsers give a page no camera, say why; taking photos one by one works everywhere. */
export function startOwnCamera() {
  button.addEventListener("click", () => (stream ? stop() : begin()));
  onView((view) => view !== "teach" && stop());
}

/** Whether pictures come from it. */
export const ownIsOn = () => stream !== null;

/** Its picture of this moment, as a JPEG file. */
export async function grab() {
  const { videoWidth: width, videoHeight: height } = video;
  const scale = Math.min(1, MOST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}

async function begin() {
  if (!navigator.mediaDevices?.getUserMedia) return say(at("own-help"), t("own.needs-https"), true);
  button.disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
    video.srcObject = stream;
    await video.play();
    stream.getVideoTracks()[0].addEventListener("ended", stop);
    show();
    say(at("own-help"), t("own.on"));
  } catch (error) {
    stop();
    say(at("own-help"), t(error.name === "NotAllowedError" ? "own.refused" : "own.missing"), true);
  } finally {
    button.disabled = false;
  }
  return null;
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = video.srcObject = null;
  show();
  say(at("own-help"), "");
}

function show() {
  video.hidden = !stream;
  at("view").dataset.own = String(Boolean(stream));
  button.setAttribute("aria-pressed", String(Boolean(stream)));
  button.textContent = t(stream ? "own.stop" : "own.use");
}
