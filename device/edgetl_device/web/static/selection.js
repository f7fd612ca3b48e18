// Tiles that can be selected and labelled, as samples and frames to review are.

import { post } from "./api.js";
import { at, confirmed } from "./dom.js";
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

/** Post a wish with a label; null where it was a slip: one that looks like a known label is asked about before. */
export async function askedIfSlip(path, wish) {
  try {
    return await post(path, wish);
  } catch (error) {
    if (!error.meant) throw error;
    const question = t("slip", { label: wish.label, meant: error.meant });
    if (!(await confirmed(question, t("slip.new", { label: wish.label })))) return null;
    return post(path, { ...wish, new_label: true });
  }
}
