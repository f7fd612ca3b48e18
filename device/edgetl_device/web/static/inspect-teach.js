// Teaching good parts, and correcting verdicts; each can be taken back.

import { post, send } from "./api.js";
import { at, counted, h } from "./dom.js";
import { holdable } from "./hold.js";
import { snapshot } from "./live.js";

const ENOUGH = 20; // good parts for a start
const INTERVAL_MS = 250; // between two pictures of one hold: the part should move
const MAX_HELD = 40;

const shutter = at("shutter");
const film = at("film");
const result = at("result");

let holding = false;
let busy = false;

/** Wire teaching and correcting; `changed()` is called when what is known has changed. */
export function startTeaching(changed) {
  const press = () => !busy && hold(changed);
  holdable(shutter, press, () => {
    holding = false;
  });
  at("photos").addEventListener("change", ({ target }) => teachPhotos([...target.files], changed));
  at("say-fine").addEventListener("click", () => correct("fine", changed));
  at("say-bad").addEventListener("click", () => correct("bad", changed));
}

/** How many good parts are known, and what is wrong with them. */
export function showTaught({ available, good = 0, fine = 0, bad = 0, warnings = [] }) {
  const parts = good + fine;
  shutter.disabled = !available;
  at("progress-bar").value = Math.min(parts, ENOUGH);
  const more = parts < ENOUGH ? ` of ${ENOUGH}` : "";
  const others = [fine && `${fine} corrected to good`, bad && counted(bad, "bad part")].filter(Boolean).join(", ");
  at("progress-text").textContent =
    parts || bad ? `${parts}${more} good parts known${others ? ` · ${others}` : ""}` : "No good part is known yet";
  at("warnings").replaceChildren(...(parts ? warnings : []).map((text) => h("li", { textContent: text })));
}

async function hold(changed) {
  busy = holding = true;
  film.replaceChildren();
  result.hidden = true;
  shutter.dataset.capturing = at("view").dataset.capturing = "true";
  const ids = [];
  let problem = null;
  try {
    do {
      const started = performance.now();
      ids.push(...(await captureOne("good")));
      at("shutter-text").textContent = `${counted(ids.length, "picture")} of good parts`;
      await new Promise((next) => setTimeout(next, Math.max(0, INTERVAL_MS - (performance.now() - started))));
    } while (holding && ids.length < MAX_HELD);
  } catch (error) {
    problem = error;
  }
  shutter.dataset.capturing = at("view").dataset.capturing = "false";
  at("shutter-text").textContent = "This part is good";
  busy = false;
  report(ids, "good", problem ? [problem.message] : [], changed);
}

async function captureOne(verdict) {
  const url = await snapshot();
  const image = h("img", { src: url, alt: "", onload: () => URL.revokeObjectURL(url) });
  const frame = h("li", { "data-state": "storing" }, image);
  film.append(frame);
  film.scrollLeft = film.scrollWidth;
  try {
    const { ids } = await post("inspection/learn", { verdict, frames: 1 });
    frame.dataset.state = "stored";
    return ids;
  } catch (error) {
    frame.remove();
    throw error;
  }
}

async function teachPhotos(files, changed) {
  at("photos").value = "";
  if (!files.length || busy) return;
  busy = shutter.disabled = true;
  film.replaceChildren();
  const ids = [];
  const skipped = [];
  for (const [number, file] of files.entries()) {
    showResult("working", `Adding photo ${number + 1} of ${files.length}…`, "");
    try {
      ids.push(...(await send("inspection/learn?verdict=good", file, file.type || "image/jpeg")).ids);
    } catch (error) {
      skipped.push(`${file.name}: ${error.message}`);
    }
  }
  busy = shutter.disabled = false;
  report(ids, "good", skipped, changed);
}

async function correct(verdict, changed) {
  if (busy) return;
  busy = true;
  film.replaceChildren();
  try {
    report(await captureOne(verdict), verdict, [], changed);
  } catch (error) {
    showResult("failed", "That did not work.", error.message);
  }
  busy = false;
}

const LEARNED = {
  good: (count) => `${counted(count, "picture")} of good parts learned`,
  fine: () => "Learned: a part like this is good",
  bad: () => "Learned: a part like this is bad",
};

function report(ids, verdict, problems, changed) {
  if (!ids.length) {
    showResult("failed", "Nothing was stored.", problems.join("; "));
    return;
  }
  const undo = h("button", { type: "button", textContent: "Take it back" });
  undo.addEventListener("click", async () => {
    undo.disabled = true;
    try {
      await post("inspection/forget", { ids });
      showResult("promoted", "Forgotten.", "It knows nothing of these pictures any more.");
      film.replaceChildren();
    } catch (error) {
      showResult("failed", "That did not work.", error.message);
    }
    changed();
  });
  showResult("promoted", LEARNED[verdict](ids.length), problems.join("; "), undo);
  changed();
}

function showResult(state, title, detail, ...actions) {
  result.hidden = false;
  result.dataset.state = state;
  result.replaceChildren(h("strong", { textContent: title }), h("span", { className: "detail", textContent: detail }));
  if (actions.length) result.append(h("div", { className: "choices" }, ...actions));
}
