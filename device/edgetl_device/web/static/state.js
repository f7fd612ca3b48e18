// The device's latest status, for every part of the page.

import { get } from "./api.js";

const listeners = [];
let asked = 0;

export let status = null;

/** Call a listener with each new status. */
export function onStatus(listener) {
  listeners.push(listener);
}

/** Ask the device for its status. Answers that were overtaken are dropped. */
export async function refresh() {
  const number = ++asked;
  const latest = await get("status");
  if (number !== asked) return;
  status = latest;
  for (const listener of listeners) listener(latest);
}

/** Every label that can be chosen: what the head knows, and what was taught. */
export const knownLabels = () =>
  status ? [...new Set([...status.labels, ...Object.keys(status.samples)])].sort((a, b) => a.localeCompare(b)) : [];
