// How many events there were in each hour of a day, or on each day: bars, and the same as a table for who sees none.

import { h } from "./dom.js";
import { dayOf, spanOf } from "./history-time.js";
import { clock, day, number, t } from "./words.js";

const HEIGHT = 96;
const BAR = 20; // one bar's share of the width
const MOST_DAYS = 31;
const MARKS = 8; // so many fit on a phone

function s(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Draw the counts into a figure; `chosen` is a day such as "2026-11-27", or null for all days. */
export function drawCounts(figure, hours, chosen) {
  const bars = chosen === null ? byDay(hours) : byHour(hours, chosen);
  const total = bars.reduce((sum, { count }) => sum + count, 0);
  figure.hidden = total === 0;
  if (!total) return figure.replaceChildren();
  const top = bars.reduce((most, bar) => (bar.count > most.count ? bar : most));
  const words = { count: total, most: number(top.count), when: top.name };
  const caption = h("figcaption", { textContent: t("history.counted", words) });
  figure.replaceChildren(caption, picture(bars, top.count), asTable(bars, chosen === null));
}

/** 24 hours, or 23 or 25 where the clock is changed that day. */
function byHour(hours, chosen) {
  const [since, until] = spanOf(chosen).map((moment) => Date.parse(moment));
  const counts = new Map(hours.map(({ start, events }) => [Date.parse(start), events]));
  const bars = [];
  for (let start = since; start < until; start += 3600000) {
    const begin = clock(new Date(start).toISOString());
    bars.push({ name: `${begin}–${clock(new Date(start + 3600000).toISOString())}`, mark: String(new Date(start).getHours()), count: counts.get(start) ?? 0 });
  }
  return bars;
}

function byDay(hours) {
  const counts = new Map();
  for (const { start, events } of hours) {
    const date = dayOf(new Date(start));
    counts.set(date, (counts.get(date) ?? 0) + events);
  }
  const days = [...counts.keys()].sort().slice(-MOST_DAYS);
  const bars = [];
  for (let moment = new Date(spanOf(days[0])[0]); days.length && dayOf(moment) <= days.at(-1) && bars.length < 3 * MOST_DAYS; moment.setDate(moment.getDate() + 1))
    bars.push({ name: day(moment.toISOString()), mark: String(moment.getDate()), count: counts.get(dayOf(moment)) ?? 0 });
  return bars;
}

function picture(bars, most) {
  const drawn = bars.map(({ name, count }, place) => {
    const height = count ? Math.max((count / most) * HEIGHT, 2) : 0;
    const title = s("title", {}, `${name}: ${number(count)}`);
    return s("rect", { x: place * BAR + 2, y: HEIGHT - height, width: BAR - 4, height }, title);
  });
  const svg = s("svg", { viewBox: `0 0 ${bars.length * BAR} ${HEIGHT}`, preserveAspectRatio: "none", focusable: "false" }, ...drawn);
  const every = Math.ceil(bars.length / MARKS);
  const marks = bars.filter((_, place) => place % every === 0).map(({ mark }) => h("span", { textContent: mark }));
  const axis = h("div", { className: "marks" }, ...marks);
  axis.style.setProperty("--marks", bars.length / every); // the last one may stand for less
  return h("div", { className: "counts", "aria-hidden": "true" }, svg, axis);
}

function asTable(bars, days) {
  const rows = bars
    .filter(({ count }) => count)
    .map(({ name, count }) => h("tr", {}, h("th", { scope: "row", textContent: name }), h("td", { textContent: number(count) })));
  const head = h("tr", {}, ...[days ? "history.day" : "history.hour", "history.events"].map((key) => h("th", { scope: "col", textContent: t(key) })));
  return h("div", { className: "unseen" }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows)));
}
