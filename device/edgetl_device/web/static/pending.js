// What the gate set aside: one card a batch, and three ways to decide about it.

import { post } from "./api.js";
import { at, h } from "./dom.js";
import { doubtOf, effectOf } from "./outcome.js";
import { status } from "./state.js";
import { told } from "./toast.js";
import { t } from "./words.js";

const MOST_PICTURES = 6;

let shown = "";

/** Show the batches that wait, and say how many do; `changed()` is called when one was decided. */
export function showPending(changed) {
  const ofGroups = Object.entries(status.groups).map(([group, { pending }]) =>
    pending.map((batch) => ({ ...batch, group })),
  );
  const batches = [...status.pending, ...ofGroups.flat()];
  const now = JSON.stringify(batches);
  if (now === shown) return batches.length;
  shown = now;
  at("pending").hidden = batches.length === 0;
  at("pending-count").textContent = batches.length || "";
  at("pending-list").replaceChildren(...batches.map((batch) => card(batch, changed)));
  return batches.length;
}

function card(batch, changed) {
  const done = (text) => {
    told(text);
    changed();
    at("title").focus(); // the buttons are gone
  };
  const failed = (error) => told(error.message, true);
  const taught = t("pending.taught", { count: batch.samples, label: batch.label });
  const more = batch.samples - MOST_PICTURES;
  return h(
    "li",
    { className: "batch" },
    h(
      "p",
      { className: "about" },
      h("strong", { textContent: batch.group ? t("pending.of-group", { taught, group: batch.group }) : taught }),
      h("span", { className: "detail", textContent: t("pending.reason", { reason: doubtOf(batch) }) }),
      batch.looks_like === null
        ? h("span", { className: "detail", textContent: t("pending.several") })
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
  const group = h("div", { className: "choices", role: "group", "aria-label": t("pending.ask", { label: batch.label }) });
  const act = async (path, fields, outcome) => {
    for (const button of group.querySelectorAll("button")) button.disabled = true;
    try {
      done(outcome(await post(`pending/${path}`, { batch: batch.id, ...fields, ...(batch.group ? { group: batch.group } : {}) })));
    } catch (error) {
      for (const button of group.querySelectorAll("button")) button.disabled = false;
      failed(error);
    }
  };
  const button = (textContent, onclick, className = "") =>
    h("button", { type: "button", textContent, onclick, className });
  const moved = (answer) => t("moved", { count: answer.moved, label: answer.label, reason: effectOf(answer) });
  const used = (answer) =>
    answer.promoted ? t("pending.used", { count: answer.moved, label: batch.label, effect: effectOf(answer) }) : effectOf(answer);
  const forgotten = (answer) => t("forgot", { count: answer.removed });
  if (batch.looks_like !== null) group.append(button(t("pending.move", { label: batch.looks_like }), () => act("move", {}, moved)));
  group.append(
    button(t("pending.use", { label: batch.label }), () => act("use", {}, used)),
    button(t("pending.forget"), () => act("forget", {}, forgotten), "danger"),
  );
  return group;
}
