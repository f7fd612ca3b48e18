// The stored samples: a page at a time, newest first; select, relabel, forget.

import { get, post } from "./api.js";
import { ago, at, confirmed, counted, h, say, spoken } from "./dom.js";
import { about } from "./groups.js";
import { showSelected, toggled } from "./selection.js";
import { askedIfSlip } from "./slip.js";
import { knownLabels, status } from "./state.js";

const PAGE = 36;

const grid = at("samples-grid");
const filter = at("samples-filter");
const message = at("samples-message");

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
    ["", `All (${total.toLocaleString("en")})`],
    ...Object.entries(status.samples).map(([label, count]) => [label, `${label} (${count})`]),
  ];
  for (const [group, { samples }] of Object.entries(status.groups)) {
    choices.push([`\n${group}`, `${group}: all`]);
    for (const [label, count] of Object.entries(samples)) choices.push([`${label}\n${group}`, `${group}: ${label} (${count})`]);
  }
  const there = choices.some(([value]) => value === chosen);
  if (!there) choices.push([chosen, `${chosen.replace("\n", ", ")} (0)`]);
  filter.replaceChildren(...choices.map(([value, textContent]) => h("option", { value, textContent })));
  filter.value = chosen || (total === 0 && choices.length > 1 ? choices[1][0] : "");
  filter.hidden = choices.length === 1;
  at("samples-count").textContent = total ? total.toLocaleString("en") : "";
  at("known-labels").replaceChildren(...knownLabels(wanted().group).map((value) => h("option", { value })));
}

/** Fetch and show the current page again. */
export async function showSamples() {
  const number = ++asked;
  const before = trail.at(-1);
  const query = new URLSearchParams({
    limit: PAGE,
    ...(wanted().label && { label: wanted().label }),
    ...about(wanted().group),
    ...(before && { before }),
  });
  const page = await get(`samples?${query}`);
  if (number !== asked) return;
  if (!page.samples.length && trail.length > 1) return turnTo([null]);
  grid.replaceChildren(...page.samples.map(tile));
  at("samples-empty").hidden = page.samples.length > 0;
  at("samples-newer").hidden = trail.length === 1;
  at("samples-older").hidden = page.next === null;
  at("samples-older").value = page.next ?? "";
  const whole = at("samples-forget-label");
  whole.hidden = !wanted().label;
  whole.textContent = `Forget all of ${wanted().label}`;
  select(new Set([...selected].filter((id) => page.samples.some((sample) => sample.id === id))));
}

function tile(sample) {
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
      title: `${sample.label}, ${ago(sample.time)}`,
      "aria-pressed": "false",
      "aria-label": `Sample ${sample.id}, ${sample.label}, ${ago(sample.time)}${sample.pending ? ", waiting" : ""}`,
      "data-pending": String(sample.pending),
    },
    picture,
    h("span", { className: "name", textContent: sample.pending ? `${sample.label} ?` : sample.label }),
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
    const moved = outcome.moved ? `Moved ${counted(outcome.moved, "sample")} to ${label}. ` : "";
    say(message, `${moved}${spoken(outcome.reason)}`);
    at("samples-label").value = "";
    changed();
  });
}

async function forgetSelected(changed) {
  const ids = [...selected];
  if (
    !(await confirmed(
      `Forget ${counted(ids.length, "sample")}? The device will be as if it had never seen them.`,
      "Forget",
    ))
  )
    return;
  await forget({ ids, ...about(wanted().group) }, changed);
}

async function forgetLabel(changed) {
  const { label, group } = wanted();
  const samples = group === null ? status.samples : (status.groups[group]?.samples ?? {});
  const count = counted(Object.hasOwn(samples, label) ? samples[label] : 0, "sample");
  if (
    !(await confirmed(
      `Forget ${label} with its ${count}? The device will be as if it had never seen them.`,
      `Forget ${label}`,
    ))
  )
    return;
  filter.value = "";
  trail = [null];
  await forget({ label, ...about(group) }, changed);
}

const forget = (wish, changed) =>
  work(async () => {
    const outcome = await post("forget", wish);
    say(message, `Forgot ${counted(outcome.removed, "sample")}. ${spoken(outcome.reason)}`);
    changed();
  });

async function work(task) {
  try {
    await task();
  } catch (error) {
    say(message, error.message, true);
  }
}
