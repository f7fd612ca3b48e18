// A region of the picture, drawn with a pointer or moved with the keyboard. Regions are [x, y, width, height], as shares.

import { at } from "./dom.js";
import { t } from "./words.js";

const LEAST = 0.05; // side of a region, of the picture's
const STEP = 0.02; // of the picture's side, for a press of an arrow key
const FIRST = [0.25, 0.25, 0.5, 0.5]; // what the keyboard begins with
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

/** What to do, for a person. */
export const how = () => t("region.how");

const view = at("view");
const box = at("region");

let start = null; // where the pointer went down
let draft = null; // the region while it is drawn
let taken = () => {};
let given = () => {};
let once = null; // takes the region that is drawn now, in place of `taken`

/** Wire the picture. `onTaken(region)` is called with what was drawn, `onGivenUp()` where nothing was. */
export function startDrawing(onTaken, onGivenUp) {
  [taken, given] = [onTaken, onGivenUp];
  view.addEventListener("pointerdown", begin);
  view.addEventListener("pointermove", move);
  view.addEventListener("pointerup", end);
  view.addEventListener("pointercancel", () => start && giveUp());
  box.addEventListener("keydown", press);
}

/** Whether one is being drawn. */
export const drawing = () => view.dataset.drawing === "true";

/** Draw one from now on, beginning with one that there is; `take(region)` gets it, or who was wired to get all. */
export function draw(region, take = null) {
  once = take;
  view.dataset.drawing = "true";
  draft = region ?? FIRST;
  box.tabIndex = 0;
  box.setAttribute("aria-hidden", "false");
  show(draft);
  view.scrollIntoView({ block: "nearest" });
  box.focus({ preventScroll: true });
}

/** No more. */
export function stopDrawing() {
  view.dataset.drawing = "false";
  start = draft = null;
  box.tabIndex = -1;
  box.setAttribute("aria-hidden", "true");
}

/** Show a region; null hides it. While one is drawn, nothing else is shown. */
export function showRegion(region) {
  if (drawing()) return;
  box.hidden = !region;
  if (region) place(box, region);
}

/** Lay an element over a part of the picture. */
export function place(element, [x, y, width, height]) {
  const along = (start, size, share) => `calc(var(--picture-${start}, 0px) + ${share} * var(--picture-${size}, 0px))`;
  element.style.left = along("left", "width", x);
  element.style.top = along("top", "height", y);
  element.style.width = `calc(${width} * var(--picture-width, 0px))`;
  element.style.height = `calc(${height} * var(--picture-height, 0px))`;
}

function show(region) {
  box.hidden = false;
  place(box, region);
  const [x, y, width, height] = region.map((share) => Math.round(share * 100));
  box.setAttribute("aria-label", t("region.at", { x, y, width, height }));
}

function giveUp() {
  stopDrawing();
  given();
}

function take(region) {
  stopDrawing();
  if (once) given();
  (once ?? taken)(region);
}

function begin(event) {
  if (!drawing() || event.button !== 0) return;
  event.preventDefault();
  view.setPointerCapture(event.pointerId);
  start = shares(event);
}

function move(event) {
  if (!start) return;
  draft = rectangle(start, shares(event));
  show(draft);
}

function end(event) {
  if (!start) return;
  const drawn = rectangle(start, shares(event));
  start = null;
  if (drawn[2] < LEAST || drawn[3] < LEAST) giveUp();
  else take(drawn);
}

function press(event) {
  if (!drawing()) return;
  if (event.key === "Enter") take(draft);
  else if (event.key === "Escape") giveUp();
  else if (ARROWS[event.key]) draft = event.shiftKey ? sized(draft, ARROWS[event.key]) : moved(draft, ARROWS[event.key]);
  else return;
  event.preventDefault();
  if (drawing()) show(draft);
}

const between = (value, low, high) => Math.min(Math.max(value, low), high);
const moved = ([x, y, width, height], [right, down]) => [
  between(x + right, 0, 1 - width), between(y + down, 0, 1 - height), width, height,
];
const sized = ([x, y, width, height], [right, down]) => [
  x, y, between(width + right, LEAST, 1 - x), between(height + down, LEAST, 1 - y),
];
const rectangle = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.abs(x - u), Math.abs(y - v)];

/** Where a pointer is, as shares of the picture. */
function shares({ clientX, clientY }) {
  const canvas = at("picture").getBoundingClientRect();
  const style = getComputedStyle(view);
  const of = (name) => Number.parseFloat(style.getPropertyValue(`--picture-${name}`));
  const share = (value, start, size) => between((value - start) / size, 0, 1);
  return [share(clientX - canvas.left, of("left"), of("width")), share(clientY - canvas.top, of("top"), of("height"))];
}
