// What the gate set aside: one card a batch, and three ways to decide about it.

import { post } from "./api.js";
import { at, counted, h, say, spoken } from "./dom.js";
import { status } from "./state.js";

const MOST_PICTURES = 6;

let shown = "";

/** Show the batches that wait; `changed()` is called when one was decided. */
export function showPending(changed) {
  const ofGroups = Object.entries(status.groups).map(([group, { pending }]) =>
    pending.map((batch) => ({ ...batch, group })),
  );
  const batches = [...status.pending, ...ofGroups.flat()];
  const now = JSON.stringify(batches);
  if (now === shown) return;
  shown = now;
  at("pending").hidden = batches.length === 0 && !at("pending-message").textContent;
  at("pending-count").textContent = batches.length || "";
  at("pending-help").hidden = batches.length === 0;
  at("pending-list").replaceChildren(...batches.map((batch) => card(batch, changed)));
}

function card(batch, changed) {
  const done = (text) => {
    say(at("pending-message"), text);
    changed();
    at("pending").focus(); // the buttons are gone
  };
  const failed = (error) => say(at("pending-message"), error.message, true);
  const more = batch.samples - MOST_PICTURES;
  return h(
    "li",
    { className: "batch" },
    h(
      "p",
      { className: "about" },
      h("strong", { textContent: `${counted(batch.samples, "sample")} taught as ${batch.label}${batch.group ? ` (${batch.group})` : ""}` }),
      h("span", { className: "detail", textContent: `Not learned: ${spoken(batch.reason)}.` }),
      batch.looks_like === null
        ? h("span", { className: "detail", textContent: "If they are several things, move each of them under Samples." })
        : null,
    ),
    h(
      "div",
      { className: "pictures" },
      ...batch.ids.slice(0, MOST_PICTURES).map(picture),
      more > 0 ? h("span", { className: "more", textContent: `+${more}` }) : null,
    ),
    choices(batch, done, failed),
  );
}

function picture(id) {
  const image = h("img", { src: `/api/v1/samples/${id}/thumbnail`, alt: "", loading: "lazy", width: 56, height: 56 });
  image.addEventListener("error", () => image.replaceWith(h("span", { className: "blank", textContent: `#${id}` })));
  return image;
}

/** The three buttons of a batch; `done(text)` or `failed(error)` is called after one was pressed. */
export function choices(batch, done, failed) {
  const group = h("div", { className: "choices", role: "group", "aria-label": `What are the ${batch.label}?` });
  const act = async (path, fields, told) => {
    for (const button of group.querySelectorAll("button")) button.disabled = true;
    try {
      done(told(await post(`pending/${path}`, { batch: batch.id, ...fields, ...(batch.group ? { group: batch.group } : {}) })));
    } catch (error) {
      for (const button of group.querySelectorAll("button")) button.disabled = false;
      failed(error);
    }
  };
  const button = (textContent, onclick, className = "") =>
    h("button", { type: "button", textContent, onclick, className });
  const moved = (answer) => `Moved ${counted(answer.moved, "sample")} to ${answer.label}. ${spoken(answer.reason)}`;
  const used = (answer) => spoken(answer.reason);
  const forgotten = (answer) => `Forgot ${counted(answer.removed, "sample")}.`;
  if (batch.looks_like !== null) group.append(button(`They are ${batch.looks_like}`, () => act("move", {}, moved)));
  group.append(
    button(`They are ${batch.label}: use them`, () => act("use", {}, used)),
    button("Forget them", () => act("forget", {}, forgotten), "danger"),
  );
  return group;
}
