// What became of what was taught: learned, set aside, rejected, or a name that may be a slip; each with its next step.

import { post } from "./api.js";
import { at, h, spoken } from "./dom.js";
import { about } from "./groups.js";
import { changesOf, doubtOf, nameOf, samplesAside, unchanged } from "./outcome.js";
import { choices } from "./pending.js";
import { NOTHING, knownLabels } from "./state.js";
import { toast, told } from "./toast.js";
import { duration, t } from "./words.js";

/** Say what a retraining made of the samples `ids` of a label; `changed()` is called when a choice changed something. */
export function report(label, group, ids, outcome, changed) {
  const undo = action(t("teach.undo"), async () => {
    const after = await post("forget", { ids, ...about(group) });
    toast("promoted", t("teach.undone"), after.promoted ? unchanged(after) : spoken(after.reason));
    at("film").replaceChildren();
    changed();
  });
  if (outcome.set_aside?.length) return showSetAside(label, group, ids, outcome, changed);
  if (outcome.promoted) {
    toast("promoted", learned(label, ids.length, outcome), whatNext(label, group) || unchanged(outcome), undo);
    return showChanges(outcome);
  }
  const accept = action(t("teach.accept"), async () => {
    report(label, group, ids, await post("retrain", { accept_scene_change: true, ...about(group) }), changed);
    changed();
  });
  const kept = t("teach.rejected", { count: ids.length, label: nameOf(label) });
  const why = spoken(outcome.reason.replace(/^not learned: /, ""));
  return toast("rejected", t("outcome.refused"), `${kept} ${why}`, accept, undo);
}

const learned = (label, count, { retrain_ms: ms }) => t("teach.learned", { count, label: nameOf(label), duration: duration(ms) });

/** One thing alone cannot be told from anything. */
function whatNext(label, group) {
  const known = new Set(label === NOTHING ? knownLabels(group) : [...knownLabels(group), label]);
  return known.size === 1 ? t("outcome.second") : "";
}

/** Ask whether a new label is a slip of a known one; `chosen(label)` is called with what is meant. */
export function askWhichLabel(label, meant, chosen) {
  toast(
    "failed",
    t("teach.did-you-mean", { meant }),
    t("teach.did-you-mean-detail", { label, meant }),
    action(t("teach.yes", { meant }), () => chosen(meant)),
    action(t("teach.no", { label }), () => chosen(label)),
  );
}

/** What each class gained or lost, the greatest changes first. */
function showChanges(outcome) {
  const lines = changesOf(outcome);
  if (!lines.length) return;
  const list = h("ul", { className: "changes" }, ...lines.map((textContent) => h("li", { textContent })));
  at("result").querySelector(".detail").after(list);
}

/** What was learned, and what waits for a decision, which may also be made later, under Review. */
function showSetAside(label, group, ids, outcome, changed) {
  const count = samplesAside(outcome);
  const rest = outcome.promoted ? ids.length - count : 0;
  const why = outcome.set_aside.map((batch) => `${spoken(doubtOf(batch))}.`);
  const title = rest > 0 ? learned(label, rest, outcome) : t("outcome.refused");
  toast(outcome.promoted ? "promoted" : "rejected", title, [...why, t("teach.set-aside", { count })].join(" "));
  if (outcome.promoted) showChanges(outcome);
  const done = (text) => {
    told(text);
    changed();
  };
  for (const batch of outcome.set_aside)
    at("result").append(choices({ ...batch, ...about(group) }, done, (error) => told(error.message, true)));
}

function action(text, work) {
  const button = h("button", { type: "button", textContent: text });
  button.addEventListener("click", async () => {
    for (const other of at("result").querySelectorAll("button")) other.disabled = true;
    try {
      await work();
    } catch (error) {
      told(error.message, true);
    }
  });
  return button;
}
