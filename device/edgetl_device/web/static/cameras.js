// Several cameras, and several regions of one: a tile for each, of which one is watched, taught and drawn on.

import { at, h, set } from "./dom.js";
import { onStatus } from "./state.js";
import { percent, t } from "./words.js";

const TILE = 320; // pixels of a tile's longer side

const place = at("cameras");
const listeners = [];

let views = []; // of the device, where they have names; in its order
let chosen = null; // one of them

const keyOf = ({ camera, region }) => JSON.stringify([camera ?? null, region ?? null]);
const nameOf = ({ camera, region }) => [camera, region].filter(Boolean).join(" / ");

/** Show a tile for each view as soon as there are several. */
export function startCameras() {
  onStatus((status) => {
    take(status.views ?? []);
    for (const { camera, error } of status.cameras ?? []) showHealth(camera, error);
  });
  new ResizeObserver(() => document.body.style.setProperty("--tiles", `${place.offsetHeight}px`)).observe(place);
}

/** Call a listener when another view is chosen, or the views have changed. */
export function onChosen(listener) {
  listeners.push(listener);
}

/** What a request needs besides to be about the chosen view. */
export const chosenView = () => (chosen ? { ...chosenCamera(), ...(chosen.region && { region: chosen.region }) } : {});

/** What a request needs besides to be about its camera. */
export const chosenCamera = () => (chosen?.camera ? { camera: chosen.camera } : {});

/** The group of labels that the chosen view is bound to, or null. */
export const viewGroup = () => chosen?.group ?? null;

/** Choose the view of a region of the chosen camera. */
export function chooseRegion(region) {
  const found = views.find((view) => view.camera === chosen?.camera && view.region === region);
  if (found) choose(found);
}

/** Whether a message of the live picture is about the chosen view. */
const isChosen = (message) => !chosen || message.part === undefined || keyOf(message) === keyOf(chosen);

/** Show a picture and what is seen in it in its tile. */
function show(message, image) {
  const tile = tileOf(message);
  if (!tile) return;
  const [x, y, width, height] = message.region ? message.part : [0, 0, 1, 1];
  const [across, down] = [width * image.width, height * image.height];
  const canvas = tile.querySelector("canvas");
  const scale = Math.min(1, TILE / Math.max(across, down));
  [canvas.width, canvas.height] = [Math.max(1, across * scale), Math.max(1, down * scale)];
  canvas.getContext("2d").drawImage(image, x * image.width, y * image.height, across, down, 0, 0, canvas.width, canvas.height);
  const { label, probability, unknown } = message;
  tile.dataset.state = label === null ? "waiting" : unknown ? "unknown" : "known";
  const verdict = label === null ? t("sees.first") : unknown ? t("sees.unknown") : `${label} ${percent(probability)}`;
  set(tile.querySelector(".says"), verdict);
}

/** Cameras that are away say why, in place of what they saw last. */
function showCameras(cameras) {
  for (const { camera, error } of cameras ?? []) showHealth(camera, error);
}

function showHealth(camera, error) {
  for (const view of views.filter((each) => (each.camera ?? null) === camera)) {
    const tile = tileOf(view);
    if (error) tile.dataset.state = "away";
    else if (tile.dataset.state === "away") tile.dataset.state = "waiting";
    if (error) set(tile.querySelector(".says"), t("cameras.away"));
    tile.title = error ?? "";
  }
}

const tileOf = (view) => place.querySelector(`[data-key="${CSS.escape(keyOf(view))}"]`);

function take(latest) {
  const now = JSON.stringify(latest.map(({ camera, region, group }) => [camera, region, group]));
  if (place.dataset.shown === now) return;
  place.dataset.shown = now;
  views = latest;
  const same = chosen && views.find((view) => keyOf(view) === keyOf(chosen));
  place.replaceChildren(...(views.length > 1 ? views.map(tile) : []));
  place.hidden = views.length < 2;
  choose(same ?? views[0] ?? null);
}

function tile(view) {
  return h(
    "button",
    { type: "button", className: "tile", "data-key": keyOf(view), "data-state": "waiting", onclick: () => choose(view) },
    h("canvas", { width: 16, height: 9, "aria-hidden": "true" }),
    h("span", { className: "called", textContent: nameOf(view), title: nameOf(view) }),
    h("span", { className: "says", textContent: t("live.waiting") }),
  );
}

function choose(view) {
  chosen = view;
  for (const each of place.children) each.setAttribute("aria-pressed", String(view !== null && each.dataset.key === keyOf(view)));
  if (view) reveal(tileOf(view));
  for (const listener of listeners) listener(view);
}

/** Scroll the row of tiles, and nothing else, to one of them. */
function reveal(tile) {
  if (!tile) return;
  const [row, it] = [place.getBoundingClientRect(), tile.getBoundingClientRect()];
  if (it.left < row.left || it.right > row.right) place.scrollLeft += it.left - row.left - (row.width - it.width) / 2;
}

/** For the live picture. */
export const tiles = { isChosen, show, showCameras };
