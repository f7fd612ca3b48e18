// Days and events of the history in the reader's words and time.

import { clock, day, number, percent, t } from "./words.js";

/** A moment's local day, as date fields have it: "2026-11-27". */
export function dayOf(moment) {
  const two = (value) => String(value).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}

/** A day of a date field → its begin and end, as the device takes them; of an empty field today's. */
export function spanOf(text) {
  const [year, month, date] = (text || dayOf(new Date())).split("-").map(Number);
  return [new Date(year, month - 1, date), new Date(year, month - 1, date + 1)].map((moment) => moment.toISOString());
}

/** 75.2 → "1:15 min". */
export function lasted(seconds) {
  const two = (value) => String(value).padStart(2, "0");
  if (seconds < 59.95) return `${number(seconds, 1)}\u00a0s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  return minutes < 60 ? `${minutes}:${two(Math.round(seconds) % 60)}\u00a0min` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}\u00a0h`;
}

/** An event's name, what else is known of it, its time, and all of it for a screen reader. */
export function eventOf({ label, group, start, duration_s, probability, camera, region, state }, withDay) {
  const known = label === "unknown" ? t("history.unknown") : label;
  const name = group === null ? known : t("history.in-group", { group, label: known });
  const from = camera === "camera" ? region : [camera, region].filter(Boolean).join(" · ");
  const sure = probability === null ? null : percent(probability);
  const time = withDay ? t("time.day", { day: day(start), clock: clock(start) }) : clock(start);
  const long = state === "open" ? t("history.open", { time }) : lasted(duration_s); // it goes on while the page is read
  const about = [long, sure, from, !["open", "ended"].includes(state) && t("history.cut-off")].filter(Boolean).join(" · ");
  return { name, about, time, spoken: `${name}, ${time}` };
}
