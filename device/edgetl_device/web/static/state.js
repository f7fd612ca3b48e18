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

/** The label of background samples: taught like a class, never predicted. */
export const NOTHING = "(nothing)";

/** Every class that can be chosen, of a group or without one: what the head knows, and what was taught. */
export const knownLabels = (group = null) => {
  const ofGroup = () => Object.keys(status.groups[group]?.samples ?? {});
  const known = () => (group === null ? [...status.labels, ...Object.keys(status.samples)] : ofGroup());
  const labels = new Set(status ? known() : []);
  labels.delete(NOTHING);
  return [...labels].sort((a, b) => a.localeCompare(b));
};
