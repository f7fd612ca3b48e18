// What the device knows of good and bad parts, for every part of the page.

import { get } from "./api.js";

const listeners = [];
let asked = 0;

export let inspection = null;

/** Call a listener with each new state. */
export function onInspection(listener) {
  listeners.push(listener);
}

/** Ask the device. Answers that were overtaken are dropped. */
export async function refresh() {
  const number = ++asked;
  const latest = await get("inspection");
  if (number === asked) use(latest);
}

/** Take over a state that the device has answered with. */
export function use(latest) {
  inspection = latest;
  for (const listener of listeners) listener(latest);
}
