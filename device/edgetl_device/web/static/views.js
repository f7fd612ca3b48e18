// The views of the one page. The address says which is open: /#/teach; back and forward go between them.

import { at } from "./dom.js";
import { VIEWS, markPlace, showPlaces } from "./places.js";
import { t } from "./words.js";

const listeners = [];
let suffix = "edgetl"; // of the title

/** The view that is open. */
export let view = null;

/** Call a listener with the name of each view that is opened, the first one too. */
export function onView(listener) {
  listeners.push(listener);
}

/** Open the view of the address, and go on doing so. What a view shows is marked with data-views="NAME NAME". */
export function startViews() {
  showPlaces(null);
  addEventListener("hashchange", () => {
    if (!open()) return;
    scrollTo(0, 0);
    at("title").focus({ preventScroll: true }); // a screen reader says where it is now
  });
  at("skip").addEventListener("click", (event) => {
    event.preventDefault(); // its address is no view
    at("title").focus();
  });
  open();
}

/** What the window's title ends with: the bundle's name. */
export function nameWindow(name) {
  suffix = `${name} · edgetl`;
  showTitle();
}

function open() {
  const [name] = location.hash.replace(/^#\/?/, "").split("/");
  const wanted = VIEWS.includes(name) ? name : VIEWS[0];
  if (wanted === view) return false;
  view = document.body.dataset.view = wanted;
  for (const element of document.querySelectorAll("[data-views]"))
    element.toggleAttribute("data-away", !element.dataset.views.split(" ").includes(view));
  at("title").textContent = t(`view.${view}`);
  markPlace(view);
  showTitle();
  for (const listener of listeners) listener(view);
  return true;
}

function showTitle() {
  document.title = `${t(`view.${view}`)} · ${suffix}`;
}
