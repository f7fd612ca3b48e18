// What became of what was taught: learned, set aside, rejected, or a name that may be a slip; each with its next step.

import { post } from "./api.js";
import { at, h, spoken } from "./dom.js";
import { about } from "./groups.js";
import { choices } from "./pending.js";
import { toast, told } from "./toast.js";
import { duration, percent, t } from "./words.js";

const MAX_CHANGES = 4;

/** Say what a retraining made of the samples `ids` of a label; `changed()` is called when a choice changed something. */
export function report(label, group, ids, outcome, changed) {
  const learned = t("teach.learned", { count: ids.length, label, duration: duration(outcome.retrain_ms) });
  const undo = action(t("teach.undo"), async () => {
    const after = await post("forget", { ids, ...about(group) });
    toast("promoted", t("teach.undone"), spoken(after.reason));
    at("film").replaceChildren();
    changed();
  });
  if (outcome.set_aside?.length) return showSetAside(outcome, group, changed);
  if (outcome.promoted) {
    toast("promoted", spoken(outcome.reason), learned, undo);
    return showChanges(outcome);
  }
  const accept = action(t("teach.accept"), async () => {
    report(label, group, ids, await post("retrain", { accept_scene_change: true, ...about(group) }), changed);
    changed();
  });
  return toast("rejected", spoken(outcome.reason), t("teach.rejected", { learned }), accept, undo);
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
function showChanges({ changes = [] }) {
  const size = ({ before, after }) => Math.abs(after - before);
  const lines = [...changes].sort((a, b) => size(b) - size(a)).slice(0, MAX_CHANGES);
  if (!lines.length) return;
  const line = ({ label, before, after, photos: count, held_out: heldOut }) =>
    t(after > before ? "teach.gained" : "teach.lost", {
      label,
      before: percent(before),
      after: percent(after),
      photos: t(heldOut ? "photos" : "teach.of-samples", { count }),
    });
  const list = h("ul", { className: "changes" }, ...lines.map((change) => h("li", { textContent: line(change) })));
  at("result").querySelector(".detail").after(list);
}

/** What was learned, and what waits for a decision, which may also be made later, under Review. */
function showSetAside(outcome, group, changed) {
  const count = outcome.set_aside.reduce((sum, batch) => sum + batch.samples, 0);
  toast(outcome.promoted ? "promoted" : "rejected", spoken(outcome.reason), t("teach.set-aside", { count }));
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
