// The places of the page, in its head or, on a phone, along its bottom edge: one link each.

import { get } from "./api.js";
import { at, h } from "./dom.js";
import { t } from "./words.js";

/** The views of the one page, in the order in which they are offered. */
export const VIEWS = ["watch", "teach", "review", "things", "history", "settings"];

const ICONS = {
  watch: "M2 12s3.6-6.5 10-6.5S22 12 22 12s-3.6 6.5-10 6.5S2 12 2 12Z M15 12a3 3 0 1 1-6 0 3 3 0 0 1 6 0Z",
  teach: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z M12 8v8 M8 12h8",
  review: "M4 5h16v11h-9l-4 4v-4H4Z M9.8 9a2.3 2.3 0 1 1 3 2.1c-.5.2-.8.5-.8 1 M12 13.9v.1",
  things: "M4 4h6.5v6.5H4Z M13.5 4H20v6.5h-6.5Z M4 13.5h6.5V20H4Z M13.5 13.5H20V20h-6.5Z",
  history: "M4.5 7.5A9 9 0 1 1 3 12 M3.5 3.5v4.5H8 M12 7.5V12l3 2",
  settings: "M4 7h9 M17 7h3 M4 17h3 M11 17h9 M15 4.5v5 M9 14.5v5",
  inspect: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z M15.5 15.5 20.5 20.5",
};

/** Fill the list of places; `here` is the one that is open. */
export function showPlaces(here) {
  const links = VIEWS.map((name) => link(name, `/#/${name}`));
  links.push(link("inspect", "/inspect"));
  links.at(-1).hidden = here !== "inspect";
  at("places").replaceChildren(...links);
  markPlace(here);
}

/** Say which place is open. */
export function markPlace(here) {
  for (const each of at("places").children) {
    if (each.dataset.place === here) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

/** Offer inspection where the bundle can inspect. */
export async function offerInspection() {
  const { available } = await get("inspection");
  at("places").querySelector("[data-place=inspect]").hidden = !available;
}

/** How many decisions wait at a place. */
export function showWaiting(name, count) {
  const badge = at("places").querySelector(`[data-place=${name}] .waiting`);
  badge.hidden = !count;
  badge.firstChild.textContent = count > 99 ? "99+" : count;
  badge.lastChild.textContent = count ? ` ${t("places.waiting", { count })}` : "";
}

function link(name, href) {
  const badge = h("span", { className: "waiting", hidden: true }, h("span", { "aria-hidden": "true" }), h("span", { className: "unseen" }));
  return h("a", { href, "data-place": name }, icon(ICONS[name]), h("span", { textContent: t(`view.${name}`) }), badge);
}

function icon(path) {
  const [svg, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
