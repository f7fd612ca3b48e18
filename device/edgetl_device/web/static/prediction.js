// The device's prediction: the verdict on the picture, the bars beside it, and announcements for screen readers.

import { at, h, set } from "./dom.js";
import { showAnswers } from "./groups.js";
import { showLost, showPulse } from "./masthead.js";
import { percent, t } from "./words.js";

const MAX_BARS = 5;
const QUIET_MS = 4000; // between two announcements
const STEADY_MS = 1000; // a verdict must last so long to be announced

const bars = at("bars");
const view = at("view");

let announced = "";
let announcedAt = 0;
let candidate = "";
let candidateSince = 0;

/** Show one message of the live picture. */
export function show(message) {
  showPulse(message.health);
  if (!message.picture) {
    if (message.health.error) unavailable(t("live.error", { error: message.health.error }));
    return;
  }
  showAnswers(message.groups);
  const own = [message.group ?? null, message]; // a view that is bound to a group answers that
  const [[group, first] = own] = message.label === null && !own[0] ? Object.entries(message.groups) : [];
  const { label, probability, unknown } = first;
  const { top } = message;
  const state = unknown ? "unknown" : "known";
  const verdict = label === null ? t("sees.first") : unknown ? t("sees.unknown") : label;
  view.dataset.state = bars.dataset.state = state;
  set(at("label"), verdict);
  const told = unknown ? t("sees.closest", { label }) : percent(probability);
  set(at("hint"), label === null ? t("sees.first-hint") : group === null ? told : t("sees.of", { group, told }));
  set(at("sees-title"), t(unknown && label !== null ? "sees.closest-title" : "sees.title"));
  at("nothing").hidden = top.length > 0 || group !== null;
  showBars(top.slice(0, MAX_BARS));
  announce(label === null ? "" : unknown ? t("live.sees-unknown") : label);
}

/** There is no picture, and why. */
export function unavailable(reason) {
  view.dataset.state = "waiting";
  set(at("notice"), reason);
  bars.replaceChildren();
}

/** The connection to the device is gone. */
export function disconnected(reason) {
  showLost(reason);
  if (reason) unavailable(reason);
}

function showBars(top) {
  while (bars.children.length > top.length) bars.lastChild.remove();
  while (bars.children.length < top.length) {
    bars.append(
      h("li", {}, h("span", { className: "name" }), h("span", { className: "share" }), h("span", { className: "bar" })),
    );
  }
  top.forEach(({ label, probability }, row) => {
    const [name, share, bar] = bars.children[row].children;
    set(name, label);
    set(share, percent(probability));
    bar.style.setProperty("--share", probability.toFixed(3));
  });
}

/** Tell a screen reader, but only what lasts, and not too often. */
function announce(verdict) {
  const now = performance.now();
  if (verdict !== candidate) [candidate, candidateSince] = [verdict, now];
  const isNews = verdict && verdict !== announced;
  if (isNews && now - candidateSince >= STEADY_MS && now - announcedAt >= QUIET_MS) {
    at("announcer").textContent = t("live.sees", { label: verdict });
    [announced, announcedAt] = [verdict, now];
  }
}
