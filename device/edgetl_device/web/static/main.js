// Puts the page together.

import { onChosen, startCameras, tiles } from "./cameras.js";
import { showDevice, startDevice } from "./device.js";
import { showGroups, startGroups } from "./groups.js";
import { startLanguage } from "./language.js";
import { startHistory } from "./history.js";
import { rest, watch } from "./live.js";
import { showLooking, startLooking } from "./looking.js";
import { showLost, showPulse, startSession } from "./masthead.js";
import { startOwnCamera } from "./own-camera.js";
import { showPending } from "./pending.js";
import { offerInspection, showWaiting } from "./places.js";
import { disconnected, show } from "./prediction.js";
import { showReliability } from "./reliability.js";
import { framesWaiting, showReview, startReview } from "./review.js";
import { showLabels, showSamples, startSamples } from "./samples.js";
import { onStatus, refresh } from "./state.js";
import { startTaught } from "./taught.js";
import { startPhotos } from "./teach-photos.js";
import { showChips, startTeaching } from "./teach.js";
import { showVersions, startVersions } from "./versions.js";
import { onView, startViews } from "./views.js";
import { evidence } from "./why.js";
import { translate } from "./words.js";

const STATUS_EVERY_MS = 5000;
const REVIEW_EVERY_MS = 15000; // the device keeps a frame in ten seconds at most
const LIVE = ["watch", "teach"]; // views with the live picture

let shown = ""; // what samples and versions on the page belong to
let live = true;

async function changed() {
  shown = "";
  await update();
}

async function update() {
  try {
    await refresh(); // it says which cameras there are
    await showLooking();
  } catch (error) {
    console.info(error.message); // the page's head says that the device is away, and it is asked again
    if (!live) showLost(null);
  }
}

const quietly = (work) => work.catch((error) => console.info(error.message));

const review = () => quietly(showReview().then(showBadge));

/** How much waits for a decision. */
let pending = 0;
const showBadge = () => showWaiting("review", pending + framesWaiting());

onStatus((status) => {
  showDevice(status);
  if (!live) showPulse(status.camera);
  showGroups();
  showChips();
  showLabels();
  pending = showPending(changed);
  showBadge();
  const now = JSON.stringify([status.bundle.digest, status.version, status.samples, status.pending, status.groups]);
  if (now !== shown) {
    shown = now;
    quietly(showSamples());
    quietly(showVersions(changed));
    quietly(showReliability());
    quietly(offerInspection());
    review();
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

translate(document);
onView((view) => {
  live = LIVE.includes(view);
  rest(!live);
});
startCameras();
startGroups(showChips);
onChosen(showChips);
startTeaching(changed);
startPhotos(changed);
startOwnCamera();
startSamples(changed);
startTaught(changed);
startReview(changed);
startHistory();
startVersions(changed);
startDevice(changed);
startLooking(changed);
startLanguage();
startSession();
startViews();
await update();
watch(onMessage, disconnected, evidence, tiles);
setInterval(() => document.hidden || update(), STATUS_EVERY_MS);
setInterval(() => document.hidden || review(), REVIEW_EVERY_MS);
