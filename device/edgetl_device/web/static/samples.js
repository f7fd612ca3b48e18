// The stored samples: a page at a time, newest first; select, relabel, forget.

import { get, post } from "./api.js";
import { at, confirmed, h } from "./dom.js";
import { about } from "./groups.js";
import { effectOf } from "./outcome.js";
import { askedIfSlip, showSelected, toggled } from "./selection.js";
import { knownLabels, status } from "./state.js";
import { told } from "./toast.js";
import { ago, number, t } from "./words.js";

const PAGE = 36;

const grid = at("samples-grid");
const filter = at("samples-filter");

/** What the filter says: a label, "" for all, and a group or null. No name holds a line break. */
const wanted = () => {
  const [label, group = null] = filter.value.split("\n");
  return { label, group };
};

let selected = new Set();
let trail = [null]; // where each page up to this one begins
let asked = 0;

/** Wire the samples; `changed()` is called when something did. */
export function startSamples(changed) {
  filter.addEventListener("change", () => {
    select(new Set());
    showLabels();
    turnTo([null]);
  });
  at("samples-newer").addEventListener("click", () => turnTo(trail.slice(0, -1)));
  at("samples-older").addEventListener("click", () => turnTo([...trail, Number(at("samples-older").value)]));
  at("samples-clear").addEventListener("click", () => select(new Set()));
  at("samples-move").addEventListener("click", () => move(changed));
  at("samples-label").addEventListener("keydown", (event) => event.key === "Enter" && move(changed));
  at("samples-forget").addEventListener("click", () => forgetSelected(changed));
  at("samples-forget-label").addEventListener("click", () => forgetLabel(changed));
}

/** Show the counts and the labels to choose from. */
export function showLabels() {
  const total = Object.values(status.samples).reduce((sum, count) => sum + count, 0);
  const chosen = filter.value;
  const choices = [
    ["", t("samples.all", { count: total })],
    ...Object.entries(status.samples).map(([label, count]) => [label, t("samples.of", { label, count })]),
  ];
  for (const [group, { samples }] of Object.entries(status.groups)) {
    choices.push([`\n${group}`, t("samples.all-of-group", { group })]);
    for (const [label, count] of Object.entries(samples))
      choices.push([`${label}\n${group}`, t("samples.of-group", { group, label, count })]);
  }
  const there = choices.some(([value]) => value === chosen);
  if (!there) choices.push([chosen, t("samples.of", { label: chosen.replace("\n", ", "), count: 0 })]);
  filter.replaceChildren(...choices.map(([value, textContent]) => h("option", { value, textContent })));
  filter.value = chosen || (total === 0 && choices.length > 1 ? choices[1][0] : "");
  filter.hidden = choices.length === 1;
  const { label, group } = wanted();
  const of = group === null ? status.samples : (status.groups[group]?.samples ?? {});
  const count = label ? (Object.hasOwn(of, label) ? of[label] : 0) : Object.values(of).reduce((sum, each) => sum + each, 0);
  at("samples-count").textContent = count ? number(count) : "";
  at("known-labels").replaceChildren(...knownLabels(wanted().group).map((value) => h("option", { value })));
}

/** Fetch and show the current page again. */
export async function showSamples() {
  const turn = ++asked;
  const before = trail.at(-1);
  const query = new URLSearchParams({
    limit: PAGE,
    ...(wanted().label && { label: wanted().label }),
    ...about(wanted().group),
    ...(before && { before }),
  });
  const page = await get(`samples?${query}`);
  if (turn !== asked) return;
  if (!page.samples.length && trail.length > 1) return turnTo([null]);
  grid.replaceChildren(...page.samples.map(tile));
  at("samples-empty").hidden = page.samples.length > 0;
  at("samples-newer").hidden = trail.length === 1;
  at("samples-older").hidden = page.next === null;
  at("samples-older").value = page.next ?? "";
  const whole = at("samples-forget-label");
  whole.hidden = !wanted().label;
  whole.textContent = t("samples.forget-all", { label: wanted().label });
  select(new Set([...selected].filter((id) => page.samples.some((sample) => sample.id === id))));
}

function tile(sample) {
  const words = { id: String(sample.id), label: sample.label, ago: ago(sample.time) };
  const picture = h("img", {
    src: `/api/v1/samples/${sample.id}/thumbnail`,
    alt: "",
    loading: "lazy",
    width: 96,
    height: 96,
  });
  picture.addEventListener("error", () =>
    picture.replaceWith(h("span", { className: "blank", textContent: `#${sample.id}` })),
  );
  const button = h(
    "button",
    {
      type: "button",
      className: "sample",
      value: sample.id,
      title: t("samples.hover", words),
      "aria-pressed": "false",
      "aria-label": t(sample.pending ? "samples.waiting" : "samples.sample", words),
      "data-pending": String(sample.pending),
    },
    picture,
    h("span", { className: "name", textContent: sample.label }),
    sample.pending ? h("span", { className: "reason", textContent: t("samples.aside") }) : null,
  );
  button.addEventListener("click", () => select(toggled(selected, sample.id)));
  return h("li", {}, button);
}

function select(ids) {
  selected = ids;
  showSelected(grid, ids, "samples");
}

function turnTo(pages) {
  trail = pages;
  return work(showSamples);
}

async function move(changed) {
  const label = at("samples-label").value.trim();
  if (!label) return at("samples-label").focus();
  await work(async () => {
    const outcome = await askedIfSlip("relabel", { label, ids: [...selected], ...about(wanted().group) });
    if (!outcome) return;
    const { moved } = outcome;
    told(moved ? t("moved", { count: moved, label, reason: effectOf(outcome) }) : t("samples.already", { count: selected.size, label }));
    at("samples-label").value = "";
    changed();
  });
}

async function forgetSelected(changed) {
  const ids = [...selected];
  if (!(await confirmed(t("samples.forget-ask", { count: ids.length }), t("forget")))) return;
  await forget({ ids, ...about(wanted().group) }, changed);
}

async function forgetLabel(changed) {
  const { label, group } = wanted();
  const samples = group === null ? status.samples : (status.groups[group]?.samples ?? {});
  const count = Object.hasOwn(samples, label) ? samples[label] : 0;
  if (!(await confirmed(t("samples.forget-label-ask", { label, count }), t("samples.forget-label", { label })))) return;
  filter.value = "";
  trail = [null];
  await forget({ label, ...about(group) }, changed);
}

const forget = (wish, changed) =>
  work(async () => {
    const outcome = await post("forget", wish);
    told(t("samples.forgot", { count: outcome.removed, reason: effectOf(outcome) }));
    changed();
  });

async function work(task) {
  try {
    await task();
  } catch (error) {
    told(error.message, true);
  }
}
