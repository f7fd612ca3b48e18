// Good and bad parts since a shift began, and what counts as one.

import { at, set } from "./dom.js";
import { change, onInspection } from "./inspection.js";
import { ago, number, t } from "./words.js";

const trigger = at("trigger");

/** Wire the card. */
export function startShift(changed) {
  at("new-shift").addEventListener("click", () => change("shift"));
  trigger.addEventListener("change", async () => {
    try {
      await change("settings", { trigger: trigger.value });
    } catch {
      changed();
    }
  });
  onInspection((inspection) => {
    if (document.activeElement !== trigger) trigger.value = inspection.trigger;
  });
}

/** Show the counts. */
export function showShift({ since, good, bad }) {
  set(at("good-parts"), number(good));
  set(at("bad-parts"), number(bad));
  set(at("since"), t("inspect.since", { ago: ago(since) }));
}
