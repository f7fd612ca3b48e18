// The strip of pictures beside the shutter: one for each frame that is taught.

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
