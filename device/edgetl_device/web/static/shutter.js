// The shutter: a button that is held, by pointer, by key, and by a screen reader or a voice, whose press is a tap; and the
// strip of pictures beside it, one for each frame that is taught.

import { at, h } from "./dom.js";
import { snapshot } from "./live.js";

const film = at("film");

/** Show the picture of this moment while `store()` stores it, and take it away where that fails; what it answered. */
export async function filmed(store) {
  const url = await snapshot();
  const image = h("img", { src: url, alt: "", onload: () => URL.revokeObjectURL(url) });
  const frame = h("li", { "data-state": "storing" }, image);
  film.append(frame);
  film.scrollLeft = film.scrollWidth;
  try {
    const stored = await store();
    frame.dataset.state = "stored";
    return stored;
  } catch (error) {
    frame.remove();
    throw error;
  }
}

/** Call `press(event)` when a button goes down, and `release(event)` when it comes up again, or is taken away. */
export function holdable(button, press, release) {
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    press(event);
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture", "blur"])
    button.addEventListener(kind, release);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) press(event);
  });
  button.addEventListener("keyup", release);
  button.addEventListener("click", (event) => {
    if (event.detail !== 0) return; // a pointer's click: it was pressed and released already
    press(event);
    release(event);
  });
}
