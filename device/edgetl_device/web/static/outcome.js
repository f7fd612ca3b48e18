// What a retraining led to, in the reader's words; the device's own English only where nothing else says it.

import { spoken } from "./dom.js";
import { NOTHING } from "./state.js";
import { language, percent, t } from "./words.js";

const DEVICE_LANGUAGE = "en"; // of its reasons
const MAX_CHANGES = 4;

/** What each class gained or lost, the greatest changes first: a line each. */
export function changesOf({ changes = [] }) {
  const size = ({ before, after }) => Math.abs(after - before);
  return [...changes].sort((a, b) => size(b) - size(a)).slice(0, MAX_CHANGES).map(change);
}

function change({ label, before, after, photos: count, held_out: heldOut }) {
  return t(after > before ? "teach.gained" : "teach.lost", {
    label,
    before: percent(before),
    after: percent(after),
    photos: t(heldOut ? "photos" : "teach.of-samples", { count }),
  });
}

/** What became of all the rest: a sentence, or "" where there is nothing to tell. */
export function effectOf(outcome) {
  if (outcome.set_aside?.length) return t("teach.set-aside", { count: samplesAside(outcome) });
  if (!outcome.promoted) return spoken(outcome.reason);
  return changesOf(outcome).join("; ") || unchanged(outcome);
}

/** That nothing was lost, where it was measured. */
export const unchanged = ({ accuracy, changes = [] }) => ((accuracy ?? null) === null || changes.length ? "" : t("outcome.same"));

/** How many samples wait for a decision. */
export const samplesAside = ({ set_aside: aside = [] }) => aside.reduce((sum, { samples }) => sum + samples, 0);

/** Why a batch was set aside. The device's own sentence says more, to who reads English. */
export function doubtOf({ samples: count, looks_like: meant, reason }) {
  if (language === DEVICE_LANGUAGE || meant === null) return reason.replaceAll("->", "→");
  return t("outcome.looks-like", { count, meant });
}

function deed({ did, samples: count, label }) {
  if (did === "moved") return t("outcome.moved", { count, label: nameOf(label) });
  return label === null ? t("outcome.forgot", { count }) : t("outcome.forgot-of", { count, label: nameOf(label) });
}

/** A label as it is read. */
export const nameOf = (label) => (label === NOTHING ? t("teach.nothing-there") : label);

/** What a version is: what was learned, and what was set aside. */
export function versionOf({ state, reason, metrics }) {
  if (state === "factory") return t("versions.factory");
  if (state === "failed") return spoken(reason);
  const { learned = {}, set_aside: aside = [], done = [] } = metrics;
  const parts = Object.entries(learned).map(([label, count]) => t("outcome.learned", { label: nameOf(label), count }));
  if (!parts.length) parts.push(...done.map(deed));
  for (const { label, samples: count, looks_like: meant } of aside)
    parts.push(meant === null ? t("outcome.aside", { label, count }) : t("outcome.aside-like", { label, count, meant }));
  if (language === DEVICE_LANGUAGE || !parts.length) return spoken(reason);
  return parts.join("; ");
}
