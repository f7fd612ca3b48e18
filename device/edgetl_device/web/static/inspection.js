// What the device knows of good and bad parts, for every part of the page.

import { inOrder } from "./api.js";

const listeners = [];
const order = inOrder();

export let inspection = null;

/** Call a listener with each new state. */
export function onInspection(listener) {
  listeners.push(listener);
}

/** Ask the device. */
export async function refresh() {
  const latest = await order.ask("inspection");
  if (latest) use(latest);
}

/** Change something, and show what the device answers. */
export async function change(path, fields) {
  use(await order.change(`inspection/${path}`, fields));
}

/** Show a state of the device. */
export function use(latest) {
  inspection = latest;
  for (const listener of listeners) listener(latest);
}
