// Puts the page together.

import { showDevice, startDevice } from "./device.js";
import { showGroups, startGroups } from "./groups.js";
import { watch } from "./live.js";
import { showLooking, startLooking } from "./looking.js";
import { showPending } from "./pending.js";
import { disconnected, show } from "./prediction.js";
import { showReliability } from "./reliability.js";
import { showReview, startReview } from "./review.js";
import { showLabels, showSamples, startSamples } from "./samples.js";
import { startSession } from "./session.js";
import { onStatus, refresh } from "./state.js";
import { startTaught } from "./taught.js";
import { showChips, startTeaching } from "./teach.js";
import { showVersions, startVersions } from "./versions.js";
import { evidence } from "./why.js";

const STATUS_EVERY_MS = 5000;
const REVIEW_EVERY_MS = 15000; // the device keeps a frame in ten seconds at most

let shown = ""; // what samples and versions on the page belong to

async function changed() {
  shown = "";
  await update();
}

async function update() {
  try {
    await Promise.all([refresh(), showLooking()]);
  } catch (error) {
    console.info(error.message); // the live picture says that the device is away, and asks again
  }
}

const review = () => showReview().catch((error) => console.info(error.message));

onStatus((status) => {
  showDevice(status);
  showGroups();
  showChips();
  showLabels();
  showPending(changed);
  const now = JSON.stringify([status.bundle.digest, status.version, status.samples, status.pending, status.groups]);
  if (now !== shown) {
    shown = now;
    showSamples().catch((error) => console.info(error.message));
    showVersions(changed).catch((error) => console.info(error.message));
    review();
    showReliability().catch((error) => console.info(error.message));
  }
});

let version = null;
function onMessage(message) {
  show(message);
  if (message.picture && message.version !== version) {
    if (version !== null) update(); // learned here, on another page or by a command
    version = message.version;
  }
}

startGroups(showChips);
startTeaching(changed);
startSamples(changed);
startTaught(changed);
startReview(changed);
startVersions(changed);
startDevice(changed);
startLooking(changed);
startSession();
await update();
watch(onMessage, disconnected, evidence);
setInterval(() => document.hidden || update(), STATUS_EVERY_MS);
setInterval(() => document.hidden || review(), REVIEW_EVERY_MS);
