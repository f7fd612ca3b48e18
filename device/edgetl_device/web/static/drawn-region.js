// A region of the picture, drawn, moved and sized with a pointer or the keyboard. Regions are [x, y, width, height], as shares.
// Nothing is taken before a person says so, and a button, Escape and another view leave it.

import { at } from "./dom.js";
import { t } from "./words.js";

const LEAST = 0.05; // side of a region, of the picture's
const STEP = 0.02; // of the picture's side, for a press of an arrow key
const FIRST = [0.25, 0.25, 0.5, 0.5]; // what it begins with
const REACH = 22; // pixels round a corner, within which it is taken hold of
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const view = at("view");
const box = at("region");
const bar = at("drawing"); // what to do, and the buttons

let drag = null; // while the pointer is down: where it is -> the region
let before = null; // the region when the pointer went down
let draft = null; // the region while it is drawn
let taken = () => {};
let given = () => {};
let once = null; // takes the region that is drawn now, in place of `taken`
let back = () => null; // the element that gets the focus back

/** Wire the picture and the buttons. `onTaken(region)` is called with what was drawn, `onGivenUp()` where nothing was. */
export function startDrawing(onTaken, onGivenUp) {
  [taken, given] = [onTaken, onGivenUp];
  view.addEventListener("pointerdown", begin);
  view.addEventListener("pointermove", move);
  view.addEventListener("pointerup", end);
  view.addEventListener("pointercancel", cancel);
  view.addEventListener("touchstart", (event) => drawing() && event.preventDefault()); // no swipe, which would eat the next tap
  box.addEventListener("keydown", press);
  at("drawing-take").addEventListener("click", () => take(draft));
  at("drawing-stop").addEventListener("click", () => giveUp());
  addEventListener("keydown", ({ key }) => key === "Escape" && !document.querySelector("dialog[open]") && giveUp());
  addEventListener("hashchange", () => giveUp()); // another view
}

/** Whether one is being drawn. */
export const drawing = () => view.dataset.drawing === "true";

/** Draw one from now on, beginning with one that there is; `take(region)` gets it, or who was wired to get all.
 *  What `opener()` gives gets the focus at the end; by default what has it now. */
export function draw(region, take = null, opener = null) {
  once = take;
  const began = document.activeElement;
  back = opener ?? (() => began);
  view.dataset.drawing = "true";
  bar.hidden = false;
  draft = region ?? FIRST;
  box.tabIndex = 0;
  box.setAttribute("aria-hidden", "false");
  show(draft);
  bar.scrollIntoView({ block: "nearest" });
  view.scrollIntoView({ block: "nearest" });
  box.focus({ preventScroll: true });
}

/** No more; `then()` shows what there is instead, before the focus goes back. */
export function stopDrawing(then = () => {}) {
  if (!drawing()) return;
  const focused = [document.body, box].includes(document.activeElement) || bar.contains(document.activeElement);
  view.dataset.drawing = "false";
  drag = draft = null;
  bar.hidden = true;
  then();
  if (focused) back()?.focus({ preventScroll: true });
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

/** No more, and nothing was drawn. */
export const giveUp = () => stopDrawing(given);

function take(region) {
  stopDrawing(once ? given : undefined);
  (once ?? taken)(region);
}

function begin(event) {
  if (!drawing() || !event.isPrimary || event.button !== 0) return;
  event.preventDefault();
  view.setPointerCapture(event.pointerId);
  before = draft;
  drag = held(shares(event));
}

function move(event) {
  if (!drag || !event.isPrimary) return;
  draft = drag(shares(event));
  show(draft);
}

function end(event) {
  if (!drag || !event.isPrimary) return;
  move(event);
  if (draft[2] < LEAST || draft[3] < LEAST) draft = before; // a tap
  released();
}

function cancel(event) {
  if (!drag || !event.isPrimary) return;
  draft = before;
  released();
}

function released() {
  drag = null;
  show(draft);
  box.focus({ preventScroll: true });
}

/** What a drag from a place does: at a corner it sizes the region, in it it moves it, elsewhere it draws another. */
function held(place) {
  const [x, y, width, height] = before;
  const sides = [[x, x + width], [y, y + height]];
  const reach = [REACH / pixels("width"), REACH / pixels("height")];
  const near = sides.map((ends, axis) =>
    ends.findIndex((end, which) => {
      const inwards = (which ? -1 : 1) * (place[axis] - end);
      return inwards >= -reach[axis] && inwards <= Math.min(reach[axis], before[2 + axis] / 4);
    }),
  );
  if (near.every((which) => which >= 0)) {
    const opposite = sides.map((ends, axis) => ends[1 - near[axis]]);
    return (to) => rectangle(opposite, to);
  }
  const within = sides.every(([from, to], axis) => place[axis] >= from && place[axis] <= to);
  if (within) return (to) => moved(before, [to[0] - place[0], to[1] - place[1]]);
  return (to) => rectangle(place, to);
}

function press(event) {
  if (!drawing()) return;
  if (event.key === "Enter") take(draft);
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

/** The picture's place or size in the view, in pixels. */
const pixels = (name) => Number.parseFloat(getComputedStyle(view).getPropertyValue(`--picture-${name}`));

/** Where a pointer is, as shares of the picture. */
function shares({ clientX, clientY }) {
  const canvas = at("picture").getBoundingClientRect();
  const share = (value, start, size) => between((value - pixels(start)) / pixels(size), 0, 1);
  return [share(clientX - canvas.left, "left", "width"), share(clientY - canvas.top, "top", "height")];
}
