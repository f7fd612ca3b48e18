// How strict inspection is, and what of the picture it looks at.

import { post } from "./api.js";
import { at, confirmed, counted, percent, say } from "./dom.js";
import { inspection, use } from "./inspection.js";
import { place } from "./inspect-picture.js";

const SHARES = [0.2, 0.1, 0.05, 0.02, 0.01]; // of good parts that may be flagged, as the slider goes
const LEAST = 0.05; // side of a region, of the picture's

const slider = at("strictness");
const looks = at("looks");
const turned = at("turned");
const region = at("region");
const view = at("view");

let drawing = null;

/** Wire the card. */
export function startSettings(changed) {
  slider.addEventListener("input", () => tell(SHARES[Number(slider.value)]));
  slider.addEventListener("change", () => change({ false_alarms: SHARES[Number(slider.value)] }));
  looks.addEventListener("change", () => {
    if (known(inspection)) {
      use(inspection); // sets the choice back
      return say(at("look-message"), "Forget all parts first: what is looked at is chosen before the first.", true);
    }
    const look = chosen();
    view.dataset.drawing = String(look === "region");
    if (look === "region" && !inspection?.view?.region) {
      view.scrollIntoView({ block: "nearest" });
      return say(at("look-message"), "Draw a frame round what counts, on the picture.");
    }
    return changeView({ region: look === "region" ? inspection.view.region : null });
  });
  at("forget-all").addEventListener("click", async () => {
    const parts = counted(known(inspection), "part");
    if (!(await confirmed(`Forget all ${parts}? It cannot be undone.`, "Forget"))) return;
    await post("inspection/forget", { all: true });
    changed();
  });
  view.addEventListener("pointerdown", begin);
  view.addEventListener("pointermove", draw);
  view.addEventListener("pointerup", end);
}

/** Show how it is set. */
export function showSettings({ available, good, fine, bad, false_alarms: target, view: look }) {
  const taught = known({ good, fine, bad });
  looks.disabled = slider.disabled = !available;
  at("forget-all").hidden = !taught;
  if (!available) return;
  if (document.activeElement !== slider) slider.value = nearest(target);
  tell(SHARES[Number(slider.value)]);
  if (taught && view.dataset.drawing === "true") {
    view.dataset.drawing = "false"; // taught before a region was drawn
    drawing = null;
    say(at("look-message"), "");
  }
  turned.checked = look.turned;
  const value = look.find_part ? "find" : look.region ? "region" : "whole";
  if (view.dataset.drawing !== "true" || look.region) looks.querySelector(`[value=${value}]`).checked = true;
  region.hidden = !look.region;
  if (look.region) place(region, look.region);
}

const known = ({ good, fine, bad }) => good + fine + bad;
const chosen = () => looks.querySelector("[name=look]:checked").value;
const nearest = (target) => SHARES.reduce((best, share, index) => (Math.abs(share - target) < Math.abs(SHARES[best] - target) ? index : best), 0);

/** What a position of the slider means, from what was taught. */
function tell(share) {
  const row = inspection.curve.find(({ target }) => Math.abs(target - share) < 1e-6);
  const told = [`About ${percent(share)} of good parts.`];
  if (row) told.push(`Of those taught, each judged without itself: ${percent(row.false_alarms)}.`);
  if (row && row.found !== null) told.push(`Of the bad parts taught, it finds ${percent(row.found)}.`);
  at("strictness-text").textContent = told.join(" ");
}

async function changeView(fields) {
  await change({ view: { region: null, find_part: chosen() === "find", turned: turned.checked, ...fields } });
}

async function change(fields) {
  try {
    use(await post("inspection/settings", fields));
    say(at("look-message"), "");
  } catch (error) {
    use(inspection);
    say(at("look-message"), error.message, true);
  }
}

/** Where a pointer is, as shares of the picture. */
function shares({ clientX, clientY }) {
  const box = at("picture").getBoundingClientRect();
  const style = getComputedStyle(view);
  const of = (name) => Number.parseFloat(style.getPropertyValue(`--picture-${name}`));
  const share = (value, start, size) => Math.min(Math.max((value - start) / size, 0), 1);
  return [share(clientX - box.left, of("left"), of("width")), share(clientY - box.top, of("top"), of("height"))];
}

const rectangle = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.abs(x - u), Math.abs(y - v)];

function begin(event) {
  if (view.dataset.drawing !== "true" || event.button !== 0) return;
  event.preventDefault();
  view.setPointerCapture(event.pointerId);
  drawing = shares(event);
}

function draw(event) {
  if (!drawing) return;
  region.hidden = false;
  place(region, rectangle(drawing, shares(event)));
}

async function end(event) {
  if (!drawing) return;
  const drawn = rectangle(drawing, shares(event));
  drawing = null;
  if (drawn[2] < LEAST || drawn[3] < LEAST) return use(inspection);
  view.dataset.drawing = "false";
  await changeView({ region: drawn });
}
