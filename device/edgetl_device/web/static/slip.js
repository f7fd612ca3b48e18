// A label that looks like a slip of a known one is asked about before anything is stored under it.

import { post } from "./api.js";
import { confirmed } from "./dom.js";
import { t } from "./words.js";

/** Post a wish with a label; null where the label was a slip. */
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
