// Teaching: hold the button (or a key) and every frame becomes a sample; let go and the device learns them.

import { post, send } from "./api.js";
import { chosenView } from "./cameras.js";
import { at, h } from "./dom.js";
import { about, chosenGroup, keepGroup } from "./groups.js";
import { grab, ownIsOn } from "./own-camera.js";
import { filmed, holdable } from "./shutter.js";
import { NOTHING, knownLabels } from "./state.js";
import { askWhichLabel, report } from "./teach-report.js";
import { hideToast, toast } from "./toast.js";
import { t } from "./words.js";

const TAP_MS = 350; // shorter than this is a tap, and a tap is a burst
const BURST = 5; // frames
const INTERVAL_MS = 120; // between two frames: the thing should move a little
const MAX_HELD = 60; // frames of one hold
const MAX_CHIPS = 24;

const shutter = at("shutter");
const input = at("teach-label");

let holding = false;
let tapped = false;
let pressedAt = 0;
let busy = false;
let meantAsNew = null; // a label that looks like a slip, and is none

/** Wire the teaching card; `changed()` is called when samples or versions did. */
export function startTeaching(changed) {
  const press = ({ timeStamp }) => {
    if (busy) return;
    pressedAt = timeStamp; // when it happened, however late the page hears of it
    begin(changed);
  };
  const release = ({ timeStamp }) => {
    if (!holding) return;
    holding = false;
    tapped = timeStamp - pressedAt < TAP_MS;
  };
  holdable(shutter, press, release);
  input.addEventListener("input", showChips);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // or the key would press the button that gets the focus
    shutter.focus();
  });
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
        const textContent = label === NOTHING ? t("teach.nothing-there") : label;
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
    toast("failed", t("teach.name-group"), t("teach.name-group-detail"));
    setTimeout(() => at("teach-group-name").focus());
    return null;
  }
  const label = input.value.trim();
  if (label) return label;
  toast("failed", t("teach.name"), t("teach.name-detail"));
  setTimeout(() => input.focus()); // after the press has given the button its focus
  return null;
}

async function begin(changed) {
  const label = wanted();
  if (!label) return;
  const group = chosenGroup();
  busy = holding = true;
  at("film").replaceChildren();
  hideToast();
  shutter.dataset.capturing = at("view").dataset.capturing = "true";
  const ids = [];
  let problem = null;
  try {
    while (goesOn(ids.length)) {
      const started = performance.now();
      ids.push(...(await captureOne(label, group)));
      at("shutter-text").textContent = t("teach.holding", { count: ids.length, label });
      await new Promise((next) => setTimeout(next, Math.max(0, INTERVAL_MS - (performance.now() - started))));
    }
  } catch (error) {
    problem = error;
  }
  shutter.dataset.capturing = at("view").dataset.capturing = "false";
  const learned = await learn(label, group, ids, problem, changed);
  at("shutter-text").textContent = t("teach.hold");
  busy = false; // whoever teaches the next thing at once need not wait for the lists
  if (learned) await listed(group, changed);
}

/** A hold goes on while held; what was only a tap goes on to a burst. */
function goesOn(captured) {
  return captured < (holding ? MAX_HELD : tapped ? BURST : 1);
}

async function captureOne(label, group) {
  const store = async () => {
    if (ownIsOn()) return sendPhoto(label, group, await grab());
    return post("learn", { label, frames: 1, retrain: false, new_label: label === meantAsNew, ...about(group), ...chosenView() });
  };
  return (await filmed(store)).ids;
}

function sendPhoto(label, group, photo) {
  const fields = { label, retrain: "false", new_label: String(label === meantAsNew), ...about(group) };
  return send(`learn?${new URLSearchParams(fields)}`, photo, photo.type || "image/jpeg");
}

/** Teach photo files, under the name in the field or another one; what was dropped in the meantime waits for nothing. */
export async function teachPhotos(files, changed, named = null) {
  if (named !== null && !busy) choose(named);
  const label = files.length && !busy ? wanted() : null;
  if (!label) return;
  const group = chosenGroup();
  busy = shutter.disabled = true;
  const ids = [];
  const skipped = [];
  at("film").replaceChildren();
  for (const [number, file] of files.entries()) {
    toast("working", t("teach.adding", { number: number + 1, count: files.length }));
    try {
      ids.push(...(await sendPhoto(label, group, file)).ids);
    } catch (error) {
      if (error.meant) {
        ask(label, error.meant, () => teachPhotos(files, changed));
        busy = shutter.disabled = false;
        return;
      }
      skipped.push(`${file.name}: ${error.message}`);
    }
  }
  const learned = await learn(label, group, ids, skipped.length ? new Error(skipped.join("; ")) : null, changed);
  busy = shutter.disabled = false;
  if (learned) await listed(group, changed);
}

/** Retrain on what was stored, and show the outcome; whether anything was stored. */
async function learn(label, group, ids, problem, changed) {
  if (!ids.length) {
    if (problem.meant) ask(label, problem.meant, () => shutter.focus());
    else toast("failed", t("teach.nothing-stored"), problem.message);
    return false;
  }
  toast("working", t("teach.learning", { label }));
  try {
    report(label, group, ids, await post("retrain", about(group)), changed);
  } catch (error) {
    toast("failed", t("teach.not-learned", { count: ids.length }), error.message);
  }
  if (problem) at("result").append(h("p", { className: "detail", textContent: problem.message }));
  return true;
}

async function listed(group, changed) {
  await changed();
  keepGroup(group);
}

/** A new label looks like a slip of a known one: `again()` is called once it is clear which is meant. */
function ask(label, meant, again) {
  askWhichLabel(label, meant, (chosen) => {
    meantAsNew = label;
    choose(chosen);
    hideToast();
    again();
  });
}
