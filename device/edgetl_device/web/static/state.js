// What the device last said of itself, for whoever on the page wants to know.

import { get } from "./api.js";

const listeners = [];
let asked = 0;

export let status = null;

/** Be told each new status. */
export function onStatus(listener) {
  listeners.push(listener);
}

/** Ask the device for its status. Answers that were overtaken are dropped. */
export async function refresh() {
  const number = ++asked;
  const found = await get("status");
  if (number !== asked) return;
  status = found;
  for (const listener of listeners) listener(found);
}

/** Every label that can be chosen: what the head knows, and what was taught. */
export const knownLabels = () =>
  status ? [...new Set([...status.labels, ...Object.keys(status.samples)])].sort((a, b) => a.localeCompare(b)) : [];
