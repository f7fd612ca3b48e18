// What inspection says of the live picture: the verdict, the heat over it, the place that is not as it should be, and
// how many parts were good and bad since a shift began.

import { at, set } from "./dom.js";
import { place } from "./drawn-region.js";
import { change, onInspection } from "./inspection.js";
import { showLost, showPulse } from "./masthead.js";
import { ago, number, t } from "./words.js";

const QUIET_MS = 3000; // between two announcements
const AS_THRESHOLD = 64; // what the heat is at the threshold

const view = at("view");
const heat = at("heat");
const where = at("where");
const posed = at("posed");
const trigger = at("trigger"); // what counts as a part

let known = null;
let announced = "";
let announcedAt = 0;

/** A layer of the live picture: the device is asked for findings, and they are drawn. */
export const overlay = { ask: () => ({ inspect: true }), draw: ({ inspection }) => inspection && drawFinding(inspection) };

/** What is known decides what to say where there is no finding. */
export function showKnown(inspection) {
  known = inspection;
}

/** Show one message of the live picture. */
export function show(message) {
  showPulse(message.health);
  if (!message.picture) {
    if (message.health.error) unavailable(t("live.error", { error: message.health.error }));
    return;
  }
  const { finding, problem } = message.inspection ?? {};
  at("corrections").hidden = !finding;
  if (finding) showVerdict(finding);
  else showNone(problem);
}

/** The connection to the device is gone. */
export function lost(reason) {
  showLost(reason);
  if (reason) unavailable(reason);
}

function unavailable(reason) {
  view.dataset.state = "waiting";
  at("corrections").hidden = true;
  set(at("notice"), reason);
}

function showVerdict({ verdict, score, threshold }) {
  const good = verdict === "good";
  view.dataset.state = verdict;
  set(at("label"), t(good ? "inspect.good" : "inspect.not-good"));
  set(at("hint"), t("inspect.level", { score: number(Math.max(score, 0), 1), threshold: number(threshold, 1) }));
  at("level").style.setProperty("--level", Math.min(Math.max(score / (2 * threshold), 0), 1).toFixed(3));
  announce(t(good ? "inspect.says-good" : "inspect.says-not-good"));
}

function showNone(problem) {
  view.dataset.state = "untaught";
  announced = "";
  if (problem) {
    set(at("label"), t("inspect.none"));
    set(at("hint"), problem);
  } else if (known && !known.available) {
    set(at("label"), t("inspect.cannot"));
    set(at("hint"), t("inspect.cannot-why"));
  } else {
    set(at("label"), t("inspect.start"));
    set(at("hint"), t("inspect.start-hint"));
  }
}

function drawFinding({ finding }) {
  heat.hidden = where.hidden = posed.hidden = true;
  if (!finding) return;
  if (finding.region) {
    place(heat, finding.region);
    drawHeat(heat, finding.heat);
    heat.hidden = false;
    showWhere(where, finding.where && within(finding.region, finding.where), place);
    return;
  }
  posed.hidden = false;
  drawHeat(at("posed-heat"), finding.heat);
  drawPosed(finding.photo);
  showWhere(at("posed-where"), finding.where, inPercent);
}

async function drawPosed(photo) {
  const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  const canvas = at("posed-picture");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").drawImage(image, 0, 0);
  image.close();
}

/** Red, and the stronger the more unusual; nothing where all is as usual, and the worst place stands out. */
function drawHeat(canvas, { rows, columns, values }) {
  [canvas.width, canvas.height] = [columns, rows];
  const strengths = [...atob(values)].map((letter) => letter.charCodeAt(0) / AS_THRESHOLD);
  const most = Math.max(1.5, ...strengths);
  const least = Math.max(0.6, most / 2.5);
  const pixels = new ImageData(columns, rows);
  strengths.forEach((strength, index) => {
    pixels.data.set([255, 64, 48, Math.max((strength - least) / (most - least), 0) * 170], 4 * index);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function showWhere(box, shares, lay) {
  box.hidden = !shares;
  if (shares) lay(box, shares);
}

/** Shares of a region → shares of the picture. */
const within = ([x, y, width, height], [left, top, w, h]) => [x + left * width, y + top * height, w * width, h * height];

function inPercent(element, shares) {
  ["left", "top", "width", "height"].forEach((side, index) => {
    element.style[side] = `${100 * shares[index]}%`;
  });
}

/** Tell a screen reader, but not too often. */
function announce(verdict) {
  const now = performance.now();
  if (verdict === announced || now - announcedAt < QUIET_MS) return;
  at("announcer").textContent = verdict;
  [announced, announcedAt] = [verdict, now];
}

/** Wire the card of the shift. */
export function startShift(changed) {
  at("new-shift").addEventListener("click", () => change("shift"));
  trigger.addEventListener("change", async () => {
    try {
      await change("settings", { trigger: trigger.value });
    } catch {
      changed();
    }
  });
  onInspection((inspection) => {
    if (document.activeElement !== trigger) trigger.value = inspection.trigger;
  });
}

/** Show how many parts were good and bad since it began. */
export function showShift({ since, good, bad }) {
  set(at("good-parts"), number(good));
  set(at("bad-parts"), number(bad));
  set(at("since"), t("inspect.since", { ago: ago(since) }));
}
