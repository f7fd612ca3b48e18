// How far the percentages on the page hold: how often the head is right when it says so many.

import { get } from "./api.js";
import { at, h, percent } from "./dom.js";

/** Fetch and show it; it changes with the head. */
export async function showReliability() {
  const { summary, bands, held_out: heldOut, samples } = await get("reliability");
  at("reliability-summary").textContent = `${summary[0].toUpperCase()}${summary.slice(1)}.`;
  at("reliability-bands").replaceChildren(...bands.map(row));
  at("reliability-table").hidden = !bands.length;
  at("reliability-source").textContent = source(heldOut, samples);
  at("reliability").hidden = false;
}

function row({ least, most, photos, said, right }) {
  const range = least ? `${percent(least)} to ${percent(most)}` : `less than ${percent(most)}`;
  const bar = h("span", { className: "held", role: "presentation" });
  bar.style.setProperty("--right", right);
  bar.style.setProperty("--said", said);
  return h(
    "tr",
    {},
    h("th", { scope: "row", textContent: range }),
    h("td", { textContent: photos.toLocaleString("en") }),
    h("td", {}, h("span", { textContent: percent(right) }), bar),
  );
}

function source(heldOut, samples) {
  const parts = [];
  if (heldOut) parts.push(`${heldOut.toLocaleString("en")} of the bundle’s held-out photos`);
  if (samples) parts.push(`${samples.toLocaleString("en")} samples, each as if it had not been learned`);
  return parts.length ? `Measured on ${parts.join(" and ")}. The mark is what it said.` : "";
}
