// Which part of the picture counts: the middle, a region that is drawn, or what is new in the scene.

import { inOrder, post } from "./api.js";
import { chosenCamera, onChosen } from "./cameras.js";
import { at, confirmed, say, set } from "./dom.js";
import { draw, drawing, giveUp, showRegion, startDrawing } from "./drawn-region.js";
import { hasRegions, showRegions, startRegions } from "./regions.js";
import { status } from "./state.js";
import { t } from "./words.js";

const button = at("draw-region");
const find = at("find");
const order = inOrder();

let view = null;

/** Wire the card; `changed()` is called when frames are looked at in another way. */
export function startLooking(changed) {
  startDrawing((region) => choose({ region, find: find.checked }, changed), () => use(view));
  button.addEventListener("click", () => {
    say(at("looking-message"), "");
    draw(view?.region ?? null);
  });
  find.addEventListener("change", () => choose({ ...(view.region && { region: view.region }), find: find.checked }, changed));
  at("reset-view").addEventListener("click", () => choose({ reset: true }, changed));
  at("remember-empty").addEventListener("click", () => remember(changed));
  at("forget-others").addEventListener("click", () => forgetOthers(changed));
  startRegions(changed);
  let camera = null;
  onChosen(() => {
    if (chosenCamera().camera !== camera) giveUp(); // what is drawn is a part of another's picture
    ({ camera } = chosenCamera());
    showLooking().catch((error) => console.info(error.message));
  });
}

/** Ask the device how it looks. */
export async function showLooking() {
  if (status?.cameras?.length > 1 && !chosenCamera().camera) return; // none of them is meant yet
  await showRegions(); // first: what waits for them is no answer any more that a choice may have overtaken
  const latest = await order.ask(`view?${new URLSearchParams(chosenCamera())}`);
  if (latest && !drawing()) use(latest);
}

async function choose(fields, changed) {
  try {
    use(await order.change("view", { ...fields, ...chosenCamera() }));
    tell();
    changed();
  } catch (error) {
    use(view);
    say(at("looking-message"), error.message, true);
  }
}

async function remember(changed) {
  const again = view?.empty_scene && t("looking.replace");
  if (again && !(await confirmed(again, t("looking.replace-yes")))) return;
  try {
    use(await order.change("view/empty", chosenCamera()));
    say(at("looking-message"), t("looking.remembered"));
    changed();
  } catch (error) {
    say(at("looking-message"), error.message, true);
  }
}

async function forgetOthers(changed) {
  const count = otherSamples(view);
  if (!(await confirmed(t("looking.forget-ask", { count }), t("forget")))) return;
  try {
    const { removed } = await post("forget", { other_view: true });
    await showLooking();
    say(at("looking-message"), t("forgot", { count: removed }));
    changed();
  } catch (error) {
    say(at("looking-message"), error.message, true);
  }
}

const otherSamples = ({ others }) => Object.values(others).reduce((sum, count) => sum + count, 0);

/** Samples that were taught with another view still count. */
function tell() {
  const others = Object.entries(view.others);
  if (!others.length) return say(at("looking-message"), "");
  const total = otherSamples(view);
  const named = others.slice(0, 3).map(([label, count]) => t("looking.of", { count, label })).join(", ");
  const more = others.length > 3 ? t("looking.more", { count: others.length - 3 }) : "";
  return say(at("looking-message"), t("looking.others", { count: total, named: named + more }));
}

/** How the bundle looks at frames, as the device says it in English → in the language of the page. */
function ofTheBundle(described) {
  const of = /^(?:the largest (square|part) in the middle of )?the (?:whole frame|frame|region (.+) of the frame)$/.exec(described);
  if (!of) return described;
  const [, shape = "all", region] = of;
  return region ? t(`looking.${shape}-of-region`, { region }) : t(`looking.${shape}-of-frame`);
}

function inWords({ chosen, region, find: finds, described }) {
  if (!chosen) return t("looking.default", { described: ofTheBundle(described) });
  if (finds) return t(region ? "looking.new-in-region" : "looking.new");
  return t(region ? "looking.region" : "looking.whole");
}

function use(latest) {
  view = latest;
  set(button, t(latest?.region ? "looking.draw-again" : "looking.draw"));
  if (!latest) return showRegion(null);
  const { chosen, region, find: finds, empty_scene: scene, problem } = latest;
  const inParts = hasRegions(); // then nothing else of the camera is looked at
  set(at("looking-at"), inParts ? t("looking.regions") : inWords(latest));
  showRegion(chosen && finds && !inParts ? region : null); // the frame shows it otherwise
  find.checked = finds;
  find.disabled = (!scene && !finds) || inParts;
  button.hidden = inParts;
  at("reset-view").hidden = !chosen || inParts;
  for (const id of ["empty-help", "remember-empty", "find-choice"]) at(id).hidden = inParts;
  const others = otherSamples(latest);
  at("forget-others").hidden = !others;
  set(at("forget-others"), t("looking.forget", { count: others }));
  set(at("empty-help"), t(scene ? "looking.empty-again" : "looking.empty-first"));
  set(at("remember-empty"), t(scene ? "looking.remember-again" : "looking.remember"));
  set(at("looking-problem"), problem ?? "");
}
