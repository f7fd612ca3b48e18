// Frames that the device was unsure of: select many, say what they are at once, or that they are nothing to learn.

import { get, post } from "./api.js";
import { ago, at, counted, h, percent, say, spoken } from "./dom.js";
import { showSelected, toggled } from "./selection.js";
import { askedIfSlip } from "./slip.js";
import { knownLabels } from "./state.js";

const FIRST = 24;
const WHY = { unknown: "not known", uncertain: "unsure", differs: "flickered" };

const grid = at("review-grid");
let frames = [];
let selected = new Set();
let most = FIRST;

/** Wire the card; `changed()` is called when frames became samples. */
export function startReview(changed) {
  const label = () => work(() => labelled(changed));
  at("review-use").addEventListener("click", label);
  at("review-label").addEventListener("keydown", (event) => event.key === "Enter" && label());
  at("review-drop").addEventListener("click", () => work(dropped));
  at("review-clear").addEventListener("click", () => select(new Set()));
  at("review-all").addEventListener("click", () => select(new Set(frames.slice(0, most).map(({ id }) => id))));
  at("review-more").addEventListener("click", () => {
    most = frames.length;
    draw();
  });
}

/** Fetch and show what is kept; while something is selected nothing moves. */
export async function showReview() {
  if (selected.size) return;
  const answer = await get("review");
  if (selected.size) return;
  const same = JSON.stringify(answer.frames) === JSON.stringify(frames);
  frames = answer.frames;
  if (!same) draw();
}

function draw() {
  const shown = frames.slice(0, most);
  grid.replaceChildren(...shown.map(tile));
  at("review").hidden = !frames.length && !at("review-message").textContent;
  at("review-help").hidden = at("review-all").hidden = !frames.length;
  at("review-count").textContent = frames.length || "";
  at("review-more").hidden = frames.length <= shown.length;
  at("review-more").textContent = `Show all ${frames.length}`;
  select(new Set([...selected].filter((id) => shown.some((frame) => frame.id === id))));
}

function tile({ id, time, why, label, probability }) {
  const picture = h("img", { src: `/api/v1/review/${id}/thumbnail`, alt: "", loading: "lazy", width: 96, height: 96 });
  picture.addEventListener("error", () => picture.replaceWith(h("span", { className: "blank", textContent: `#${id}` })));
  const guess = why === "unknown" ? `like ${label}?` : `${label}? ${percent(probability)}`;
  const button = h(
    "button",
    {
      type: "button",
      className: "sample",
      value: id,
      title: `${label}? ${WHY[why]}, ${ago(time)}`,
      "aria-pressed": "false",
      "aria-label": `Frame ${id}, ${WHY[why]}, ${guess} ${ago(time)}`,
    },
    picture,
    h("span", { className: "name", textContent: guess }),
    h("span", { className: "reason", textContent: WHY[why] }),
  );
  button.addEventListener("click", () => select(toggled(selected, id)));
  return h("li", {}, button);
}

function select(ids) {
  selected = ids;
  showSelected(grid, ids, "review");
  at("review-labels").replaceChildren(...knownLabels().map((value) => h("option", { value })));
}

async function labelled(changed) {
  const label = at("review-label").value.trim();
  if (!label) return at("review-label").focus();
  const outcome = await askedIfSlip("review/label", { label, ids: [...selected] });
  if (!outcome) return;
  at("review-label").value = "";
  await done(`Taught ${counted(outcome.ids.length, "frame")} as ${label}. ${spoken(outcome.reason)}`);
  changed();
}

async function dropped() {
  const { dropped: count } = await post("review/drop", { ids: [...selected] });
  await done(`Dropped ${counted(count, "frame")}.`);
}

async function done(text) {
  say(at("review-message"), text);
  at("review").focus(); // the buttons go
  select(new Set());
  await showReview();
  draw();
}

async function work(task) {
  const buttons = at("review-tools").querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  try {
    await task();
  } catch (error) {
    say(at("review-message"), error.message, true);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}
