// Why: where in the picture the evidence for the label is, if the bundle can say.

import { at } from "./dom.js";

const overlay = at("overlay");
const view = at("view");
const why = at("why");

why.addEventListener("click", () => {
  const on = why.getAttribute("aria-pressed") !== "true";
  why.setAttribute("aria-pressed", String(on));
  view.dataset.why = String(on);
});

/** A layer of the live picture. */
export const evidence = {
  ask: () => ({ overlay: why.getAttribute("aria-pressed") === "true" }),
  draw({ explains, overlay: map }) {
    why.hidden = !explains;
    if (!map) return;
    const values = Uint8Array.from(atob(map.values), (letter) => letter.charCodeAt(0));
    [overlay.width, overlay.height] = [map.columns, map.rows];
    const heat = new ImageData(map.columns, map.rows);
    values.forEach((value, index) => heat.data.set([67, 219, 167, value], 4 * index));
    overlay.getContext("2d").putImageData(heat, 0, 0);
  },
};
