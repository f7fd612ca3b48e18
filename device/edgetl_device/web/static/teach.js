// Teaching: hold the button (or a key) and every frame becomes a sample; let go and the device learns them.

import { post, send } from "./api.js";
import { at, counted, duration, h, percent, spoken } from "./dom.js";
import { filmed } from "./film.js";
import { about, chosenGroup, keepGroup } from "./groups.js";
import { holdable } from "./hold.js";
import { choices } from "./pending.js";
import { NOTHING, knownLabels } from "./state.js";

const TAP_MS = 350; // shorter than this is a tap, and a tap is a burst
const BURST = 5; // frames
const INTERVAL_MS = 120; // between two frames: the thing should move a little
const MAX_HELD = 60; // frames of one hold
const MAX_CHIPS = 24;
const MAX_CHANGES = 4;

const shutter = at("shutter");
const input = at("teach-label");
const film = at("film");
const result = at("result");

let holding = false;
let tapped = false;
let pressedAt = 0;
let busy = false;
let meantAsNew = null; // a label that looks like a slip, and is none

/** Wire the teaching card; `changed()` is called when samples or versions did. */
export function startTeaching(changed) {
  const press = () => !busy && begin(changed);
  const release = () => {
    if (!holding) return;
    holding = false;
    tapped = performance.now() - pressedAt < TAP_MS;
  };
  holdable(shutter, press, release);
  input.addEventListener("input", showChips);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // or the key would press the button that gets the focus
    shutter.focus();
  });
  at("photos").addEventListener("change", (event) => teachPhotos([...event.target.files], changed));
}

/** Show the known labels as buttons. */
export function showChips() {
  const chosen = input.value.trim();
  const group = chosenGroup();
  const labels = [...knownLabels(group).slice(0, MAX_CHIPS), ...(group === null ? [NOTHING] : [])];
  const chips = at("chips");
  if (chips.dataset.labels !== labels.join("\n")) {
    chips.dataset.labels = labels.join("\n");
    chips.replaceChildren(
      ...labels.map((label) => {
        const textContent = label === NOTHING ? "nothing there" : label;
        return h("button", { type: "button", textContent, value: label, onclick: () => choose(label) });
      }),
    );
  }
  for (const chip of chips.children) chip.setAttribute("aria-pressed", String(chip.value === chosen));
}

function choose(label) {
  input.value = label;
  showChips();
}

/** The label to teach, or null after asking for one, or for the name of the question. */
function wanted() {
  if (chosenGroup() === "") {
    showResult("failed", "Name the question first.", "Such as condition, or side.");
    setTimeout(() => at("teach-group-name").focus());
    return null;
  }
  const label = input.value.trim();
  if (label) return label;
  showResult("failed", "Type a name first.", "Or pick one of the labels.");
  setTimeout(() => input.focus()); // after the press has given the button its focus
  return null;
}

async function begin(changed) {
  const label = wanted();
  if (!label) return;
  const group = chosenGroup();
  busy = holding = true;
  pressedAt = performance.now();
  film.replaceChildren();
  result.hidden = true;
  shutter.dataset.capturing = at("view").dataset.capturing = "true";
  const ids = [];
  let problem = null;
  try {
    while (goesOn(ids.length)) {
      const started = performance.now();
      ids.push(...(await captureOne(label, group)));
      at("shutter-text").textContent = `${counted(ids.length, "frame")} of ${label}`;
      await new Promise((next) => setTimeout(next, Math.max(0, INTERVAL_MS - (performance.now() - started))));
    }
  } catch (error) {
    problem = error;
  }
  shutter.dataset.capturing = at("view").dataset.capturing = "false";
  await learn(label, group, ids, problem, changed);
  at("shutter-text").textContent = "Hold to capture";
  busy = false;
}

/** A hold goes on while held; what was only a tap goes on to a burst. */
function goesOn(captured) {
  return captured < (holding ? MAX_HELD : tapped ? BURST : 1);
}

async function captureOne(label, group) {
  const { ids } = await filmed(() =>
    post("learn", { label, frames: 1, retrain: false, new_label: label === meantAsNew, ...about(group) }),
  );
  return ids;
}

async function teachPhotos(files, changed) {
  at("photos").value = "";
  const label = files.length && !busy ? wanted() : null;
  if (!label) return;
  const group = chosenGroup();
  busy = shutter.disabled = true;
  const ids = [];
  const skipped = [];
  film.replaceChildren();
  for (const [number, file] of files.entries()) {
    showResult("working", `Adding photo ${number + 1} of ${files.length}…`, "");
    try {
      const fields = { label, retrain: "false", new_label: String(label === meantAsNew), ...about(group) };
      const query = new URLSearchParams(fields);
      ids.push(...(await send(`learn?${query}`, file, file.type || "image/jpeg")).ids);
    } catch (error) {
      if (error.meant) {
        askWhichLabel(label, error.meant, () => teachPhotos(files, changed));
        busy = shutter.disabled = false;
        return;
      }
      skipped.push(`${file.name}: ${error.message}`);
    }
  }
  await learn(label, group, ids, skipped.length ? new Error(skipped.join("; ")) : null, changed);
  busy = shutter.disabled = false;
}

/** Retrain on what was stored, and show the outcome. */
async function learn(label, group, ids, problem, changed) {
  if (!ids.length && problem.meant) return askWhichLabel(label, problem.meant, () => shutter.focus());
  if (!ids.length) return showResult("failed", "Nothing was stored.", problem.message);
  showResult("working", `Learning ${label}…`, "");
  try {
    report(label, group, ids, await post("retrain", about(group)), changed);
  } catch (error) {
    showResult("failed", `Stored ${counted(ids.length, "sample")}, but did not learn.`, error.message);
  }
  if (problem) result.append(h("p", { className: "detail", textContent: problem.message }));
  await changed();
  keepGroup(group);
}

/** A new label looks like a slip of a known one: `again()` is called once it is clear which is meant. */
function askWhichLabel(label, known, again) {
  const answer = (text, chosen) =>
    action(text, () => {
      meantAsNew = label;
      choose(chosen);
      result.hidden = true;
      again();
    });
  showResult(
    "failed",
    `Did you mean ${known}?`,
    `Nothing was stored: ${label} would be a new label, and it looks like ${known}.`,
    answer(`Yes, ${known}`, known),
    answer(`No, ${label} is new`, label),
  );
}

function report(label, group, ids, outcome, changed) {
  const learned = `${counted(ids.length, "sample")} of ${label}, learned in ${duration(outcome.retrain_ms)}`;
  const undo = action("Forget these", async () => {
    const after = await post("forget", { ids, ...about(group) });
    showResult("promoted", "Forgotten.", spoken(after.reason));
    film.replaceChildren();
    changed();
  });
  if (outcome.set_aside?.length) {
    showSetAside(outcome, group, changed);
    return;
  }
  if (outcome.promoted) {
    showResult("promoted", spoken(outcome.reason), learned, undo);
    showChanges(outcome);
    return;
  }
  const accept = action("My labels are right: use them", async () => {
    report(label, group, ids, await post("retrain", { accept_scene_change: true, ...about(group) }), changed);
    changed();
  });
  showResult(
    "rejected",
    spoken(outcome.reason),
    `${learned}. The samples are stored; the previous version stays in use.`,
    accept,
    undo,
  );
}

/** What each class gained or lost, the greatest changes first. */
function showChanges({ changes = [] }) {
  const size = ({ before, after }) => Math.abs(after - before);
  const lines = [...changes].sort((a, b) => size(b) - size(a)).slice(0, MAX_CHANGES);
  if (!lines.length) return;
  const told = ({ label, before, after, photos, held_out: heldOut }) =>
    `${label} ${after > before ? "gained" : "lost"}: ${percent(before)} → ${percent(after)} ` +
    `of ${heldOut ? counted(photos, "photo") : `its ${counted(photos, "sample")}`}`;
  const list = h("ul", { className: "changes" }, ...lines.map((change) => h("li", { textContent: told(change) })));
  result.querySelector(".detail").after(list);
}

/** What was learned, and what waits for a decision, which may also be made later, in its card. */
function showSetAside(outcome, group, changed) {
  const waiting = outcome.set_aside.reduce((sum, batch) => sum + batch.samples, 0);
  showResult(
    outcome.promoted ? "promoted" : "rejected",
    spoken(outcome.reason),
    `${counted(waiting, "sample")} set aside until you decide; nothing else waits for that.`,
  );
  if (outcome.promoted) showChanges(outcome);
  const done = (text) => {
    showResult("promoted", text, "");
    changed();
  };
  for (const batch of outcome.set_aside)
    result.append(choices({ ...batch, ...about(group) }, done, (error) => showResult("failed", "That did not work.", error.message)));
}

function action(text, work) {
  const button = h("button", { type: "button", textContent: text });
  button.addEventListener("click", async () => {
    for (const other of result.querySelectorAll("button")) other.disabled = true;
    try {
      await work();
    } catch (error) {
      showResult("failed", "That did not work.", error.message);
    }
  });
  return button;
}

function showResult(state, title, detail, ...actions) {
  result.hidden = false;
  result.dataset.state = state;
  result.replaceChildren(h("strong", { textContent: title }), h("span", { className: "detail", textContent: detail }));
  if (actions.length) result.append(h("div", { className: "choices" }, ...actions));
}
