// Frames that the device was unsure of: select many, say what they are at once, or that they are nothing to learn.

import { get, post } from "./api.js";
import { at, confirmed, h } from "./dom.js";
import { effectOf } from "./outcome.js";
import { askedIfSlip, showSelected, toggled } from "./selection.js";
import { knownLabels } from "./state.js";
import { toast, told } from "./toast.js";
import { ago, percent, t } from "./words.js";

const FIRST = 24;

const grid = at("review-grid");
let frames = null; // until the first answer
let tiles = new Map(); // a frame as JSON → what shows it
let selected = new Set();
let most = FIRST;

/** Wire the card; `changed()` is called when frames became samples. */
export function startReview(changed) {
  const work = (task) => attempt(task, changed);
  const label = () => work(() => labelled(changed));
  at("review-use").addEventListener("click", label);
  at("review-label").addEventListener("keydown", (event) => event.key === "Enter" && label());
  at("review-drop").addEventListener("click", () => work(() => dropped(changed)));
  at("review-clear").addEventListener("click", () => select(new Set()));
  at("review-all").addEventListener("click", () => select(new Set(frames.slice(0, most).map(({ id }) => id))));
  at("review-more").addEventListener("click", () => {
    most = frames.length;
    draw();
  });
}

/** Fetch and show what is kept; while something is selected, what is new comes last, and only what is gone goes. */
export async function showReview() {
  const answer = await get("review");
  const next = selected.size ? inPlace(answer.frames) : answer.frames;
  const same = JSON.stringify(next) === JSON.stringify(frames);
  frames = next;
  if (!same) draw();
}

/** Frames in the order in which they are shown already, the others after them. */
function inPlace(latest) {
  const place = new Map(frames.map(({ id }, row) => [id, row]));
  return [...latest].sort((a, b) => (place.get(a.id) ?? frames.length) - (place.get(b.id) ?? frames.length));
}

/** How many are kept. */
export const framesWaiting = () => frames?.length ?? 0;

function draw() {
  const shown = frames.slice(0, most);
  const focused = grid.contains(document.activeElement) ? document.activeElement.value : null;
  tiles = new Map(shown.map((frame) => JSON.stringify(frame)).map((key) => [key, tiles.get(key) ?? tile(JSON.parse(key))]));
  grid.replaceChildren(...tiles.values());
  if (focused !== null) (grid.querySelector(`[value="${focused}"]`) ?? at("review")).focus();
  at("review-empty").hidden = frames.length > 0;
  at("review-help").hidden = at("review-all").hidden = !frames.length;
  at("review-count").textContent = frames.length || "";
  at("review-more").hidden = frames.length <= shown.length;
  at("review-more").textContent = t("all", { count: frames.length });
  select(new Set([...selected].filter((id) => shown.some((frame) => frame.id === id))));
}

function tile({ id, time, why, label, probability }) {
  const picture = h("img", { src: `/api/v1/review/${id}/thumbnail`, alt: "", loading: "lazy", width: 96, height: 96 });
  picture.addEventListener("error", () => picture.replaceWith(h("span", { className: "blank", textContent: `#${id}` })));
  const guess = why === "unknown" ? t("review.like", { label }) : t("review.guess", { label, percent: percent(probability) });
  const words = { id: String(id), label, guess, why: t(`review.why-${why}`), ago: ago(time) };
  const button = h(
    "button",
    {
      type: "button",
      className: "sample",
      value: id,
      title: t("review.hover", words),
      "aria-pressed": "false",
      "aria-label": t("review.frame", words),
    },
    picture,
    h("span", { className: "name", textContent: guess }),
    h("span", { className: "reason", textContent: words.why }),
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
  await done(t("review.labelled", { count: outcome.ids.length, label }), effectOf(outcome), undo(outcome.ids, changed));
  changed();
}

/** The samples are forgotten exactly, and the frames are there to be labelled again. */
function undo(ids, changed) {
  const button = h("button", { type: "button", textContent: t("review.undo") });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { undone } = await post("review/undo", { ids });
      await done(t("review.undone", { count: undone }));
    } catch (error) {
      told(error.message, true);
    }
    changed();
  });
  return button;
}

async function dropped(changed) {
  const ids = [...selected];
  if (!(await confirmed(t("review.drop-ask", { count: ids.length }), t("forget")))) return;
  const { dropped: count } = await post("review/drop", { ids });
  await done(t("review.dropped", { count }));
  changed();
}

async function done(title, detail = "", ...actions) {
  toast("promoted", title, detail, ...actions);
  at("review").focus(); // the buttons go
  select(new Set());
  await showReview();
  draw();
}

async function attempt(task, changed) {
  const buttons = at("review-tools").querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  try {
    await task();
  } catch (error) {
    told(error.message, true);
    changed(); // a frame may be gone, labelled on another page or by a command
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}
