// Teaching good parts, and correcting verdicts; each can be taken back.

import { post, send } from "./api.js";
import { at, h } from "./dom.js";
import { filmed, holdable } from "./shutter.js";
import { hideToast, toast, told } from "./toast.js";
import { t } from "./words.js";

const ENOUGH = 20; // good parts for a start
const INTERVAL_MS = 250; // between two pictures of one hold: the part should move
const MAX_HELD = 40;

const shutter = at("shutter");
const film = at("film");

let holding = false;
let busy = false;

/** Wire teaching and correcting; `changed()` is called when what is known has changed. */
export function startTeaching(changed) {
  const press = () => !busy && hold(changed);
  holdable(shutter, press, () => {
    holding = false;
  });
  at("photos").addEventListener("change", ({ target }) => teachPhotos([...target.files], changed));
  at("say-fine").addEventListener("click", () => correct("fine", changed));
  at("say-bad").addEventListener("click", () => correct("bad", changed));
}

/** How many good parts are known, and what is wrong with them. */
export function showTaught({ available, good = 0, fine = 0, bad = 0, warnings = [] }) {
  const parts = good + fine;
  shutter.disabled = !available;
  at("progress-bar").value = Math.min(parts, ENOUGH);
  const known = t(parts < ENOUGH ? "inspect.known-of" : "inspect.known", { count: parts, enough: ENOUGH });
  const others = [fine && t("inspect.corrected", { count: fine }), bad && t("inspect.bad-known", { count: bad })];
  at("progress-text").textContent =
    parts || bad ? [known, others.filter(Boolean).join(", ")].filter(Boolean).join(" · ") : t("inspect.none-known");
  at("warnings").replaceChildren(...(parts ? warnings : []).map((text) => h("li", { textContent: text })));
}

async function hold(changed) {
  busy = holding = true;
  film.replaceChildren();
  hideToast();
  shutter.dataset.capturing = at("view").dataset.capturing = "true";
  const taught = nothing();
  let problem = null;
  try {
    do {
      const started = performance.now();
      add(taught, await captureOne("good"));
      at("shutter-text").textContent = t("inspect.captured", { count: taught.ids.length });
      await new Promise((next) => setTimeout(next, Math.max(0, INTERVAL_MS - (performance.now() - started))));
    } while (holding && taught.ids.length < MAX_HELD);
  } catch (error) {
    problem = error;
  }
  shutter.dataset.capturing = at("view").dataset.capturing = "false";
  at("shutter-text").textContent = t("inspect.shutter");
  busy = false;
  report(taught, "good", problem ? [problem.message] : [], changed);
}

const captureOne = (verdict) => filmed(() => post("inspection/learn", { verdict, frames: 1 }));

async function teachPhotos(files, changed) {
  at("photos").value = "";
  if (!files.length || busy) return;
  busy = shutter.disabled = true;
  film.replaceChildren();
  const taught = nothing();
  const skipped = [];
  for (const [number, file] of files.entries()) {
    toast("working", t("teach.adding", { number: number + 1, count: files.length }));
    try {
      add(taught, await send("inspection/learn?verdict=good", file, file.type || "image/jpeg"));
    } catch (error) {
      skipped.push(`${file.name}: ${error.message}`);
    }
  }
  busy = shutter.disabled = false;
  report(taught, "good", skipped, changed);
}

async function correct(verdict, changed) {
  if (busy) return;
  busy = true;
  film.replaceChildren();
  try {
    report(await captureOne(verdict), verdict, [], changed);
  } catch (error) {
    told(error.message, true);
  }
  busy = false;
}

const nothing = () => ({ ids: [], odd: [], aside: [], warnings: [] });

function add(taught, { ids, odd, aside, warnings }) {
  taught.ids.push(...ids);
  taught.odd.push(...odd);
  taught.aside.push(...aside);
  if (aside.length) taught.warnings = warnings.slice(0, 1);
}

const LEARNED = {
  good: (count) => t("inspect.learned", { count }),
  fine: () => t("inspect.learned-fine"),
  bad: () => t("inspect.learned-bad"),
};

function report({ ids, odd, aside, warnings }, verdict, problems, changed) {
  if (!ids.length) {
    toast("failed", t("teach.nothing-stored"), problems.join("; "));
    return;
  }
  const stored = { ids }; // those that were set aside get other ids with their verdict
  const undo = h("button", { type: "button", textContent: t("inspect.undo") });
  undo.addEventListener("click", async () => {
    undo.disabled = true;
    try {
      await post("inspection/forget", { ids: stored.ids });
      toast("promoted", t("teach.undone"), t("inspect.undone"));
      film.replaceChildren();
    } catch (error) {
      told(error.message, true);
    }
    changed();
  });
  if (aside.length) {
    const why = warnings[0].replace(/; if .*/, ".").replace(/^set aside: w/, "W");
    const details = [why, ...problems].join(" ");
    const choices = [decide("fine", aside, stored, undo, changed), decide("bad", aside, stored, undo, changed), undo];
    toast("rejected", t("inspect.aside"), details, ...choices);
    changed();
    return;
  }
  const details = odd.length ? [question(odd.length, ids.length), ...problems] : problems;
  const actions = odd.length ? [callBad(odd, undo, changed), undo] : [undo];
  toast("promoted", LEARNED[verdict](ids.length), details.join("; "), ...actions);
  changed();
}

const question = (odd, taught) =>
  t("inspect.odd", { count: taught, odd });

/** A person says what parts are that were set aside. */
function decide(verdict, ids, stored, undo, changed) {
  const text = t(verdict === "fine" ? "inspect.yes" : "inspect.no");
  const button = h("button", { type: "button", className: verdict === "bad" ? "danger" : "", textContent: text });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const judged = await post("inspection/judge", { ids, verdict });
      stored.ids = [...stored.ids.filter((id) => !ids.includes(id)), ...judged.ids];
      toast("promoted", LEARNED[verdict](ids.length), "", undo);
    } catch (error) {
      told(error.message, true);
    }
    changed();
  });
  return button;
}

/** Parts taught as good by mistake are bad. */
function callBad(ids, undo, changed) {
  const text = t("inspect.no-all", { count: ids.length });
  const button = h("button", { type: "button", className: "danger", textContent: text });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post("inspection/judge", { ids, verdict: "bad" });
      toast("promoted", t("inspect.all-bad"), "", undo);
    } catch (error) {
      told(error.message, true);
    }
    changed();
  });
  return button;
}
