// How far the percentages on the page hold: how often the head is right when it says so many.

import { get } from "./api.js";
import { at, h } from "./dom.js";
import { number, percent, t } from "./words.js";

const FEW = 20; // photos, of which less tell nothing

/** Fetch and show it; it changes with the head. */
export async function showReliability() {
  const { bands, held_out: heldOut, samples } = await get("reliability");
  at("reliability-summary").textContent = summary(bands);
  at("reliability-bands").replaceChildren(...bands.map(row));
  at("reliability-table").hidden = !bands.length;
  at("reliability-source").textContent = source(heldOut, samples);
  at("reliability").hidden = false;
}

/** About the probabilities that are said most often. */
function summary(bands) {
  const total = bands.reduce((sum, { photos }) => sum + photos, 0);
  if (total < FEW) return t("reliability.few", { few: FEW, count: total });
  const most = bands.reduce((best, band) => (band.photos > best.photos ? band : best));
  const values = { said: percent(most.said), right: percent(most.right), count: most.photos, total };
  return t("reliability.summary", values);
}

function row({ least, most, photos, said, right }) {
  const range = least ? t("reliability.range", { least: percent(least), most: percent(most) }) : t("reliability.less", { most: percent(most) });
  const bar = h("span", { className: "held", role: "presentation" });
  bar.style.setProperty("--right", right);
  bar.style.setProperty("--said", said);
  return h(
    "tr",
    {},
    h("th", { scope: "row", textContent: range }),
    h("td", { textContent: number(photos) }),
    h("td", {}, h("span", { textContent: percent(right) }), bar),
  );
}

function source(heldOut, samples) {
  const parts = [];
  if (heldOut) parts.push(t("reliability.held-out", { count: heldOut }));
  if (samples) parts.push(t("reliability.samples", { count: samples }));
  if (parts.length === 2) return t("reliability.source-both", { one: parts[0], other: parts[1] });
  return parts.length ? t("reliability.source", { what: parts[0] }) : "";
}
