// Tiles that can be selected, as samples and frames to review are.

import { at } from "./dom.js";
import { t } from "./words.js";

/** A set of ids with one more, or less where it was among them. */
export function toggled(ids, id) {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** Show which tiles of a grid are selected, how many, and what can be done with them. */
export function showSelected(grid, ids, name) {
  for (const button of grid.querySelectorAll(".sample"))
    button.setAttribute("aria-pressed", String(ids.has(Number(button.value))));
  at(`${name}-tools`).hidden = ids.size === 0;
  at(`${name}-selected`).textContent = t("selected", { count: ids.size });
}
