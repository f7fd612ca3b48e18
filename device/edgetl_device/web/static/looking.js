// Which part of the picture counts: the middle, a region that is drawn, or what is new in the scene.

import { get, post } from "./api.js";
import { at, confirmed, counted, say, set } from "./dom.js";
import { HOW, draw, drawing, showRegion, startDrawing, stopDrawing } from "./drawn-region.js";

const button = at("draw-region");
const find = at("find");

let view = null;

/** Wire the card; `changed()` is called when frames are looked at in another way. */
export function startLooking(changed) {
  startDrawing((region) => choose({ region, find: find.checked }, changed), () => use(view));
  button.addEventListener("click", () => {
    if (drawing()) {
      stopDrawing();
      return use(view);
    }
    draw(view?.region ?? null);
    set(button, "Stop drawing");
    return say(at("looking-message"), HOW);
  });
  find.addEventListener("change", () => choose({ ...(view.region && { region: view.region }), find: find.checked }, changed));
  at("reset-view").addEventListener("click", () => choose({ reset: true }, changed));
  at("remember-empty").addEventListener("click", () => remember(changed));
  at("forget-others").addEventListener("click", () => forgetOthers(changed));
}

/** Ask the device how it looks. */
export async function showLooking() {
  const latest = await get("view");
  if (!drawing()) use(latest);
}

async function choose(fields, changed) {
  try {
    use(await post("view", fields));
    tell();
    changed();
  } catch (error) {
    use(view);
    say(at("looking-message"), error.message, true);
  }
}

async function remember(changed) {
  const again = view?.empty_scene && "Replace the empty scene by what the camera sees now?";
  if (again && !(await confirmed(again, "Replace"))) return;
  try {
    use(await post("view/empty"));
    say(at("looking-message"), "The empty scene is remembered.");
    changed();
  } catch (error) {
    say(at("looking-message"), error.message, true);
  }
}

async function forgetOthers(changed) {
  const count = otherSamples(view);
  const those = count === 1 ? "it" : "them";
  if (!(await confirmed(`Forget ${counted(count, "sample")} taught looking at something else? Nobody can bring ${those} back.`, "Forget"))) return;
  try {
    const { removed } = await post("forget", { other_view: true });
    use(await get("view"));
    say(at("looking-message"), `Forgot ${counted(removed, "sample")}.`);
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
  const named = others.slice(0, 3).map(([label, count]) => `${count} of ${label}`).join(", ");
  const more = others.length > 3 ? ` and ${counted(others.length - 3, "more label")}` : "";
  const were = total === 1 ? "was" : "were";
  return say(
    at("looking-message"),
    `${counted(total, "sample")} (${named}${more}) ${were} taught looking at something else, and still count: teach them again as they are seen now, then forget the old ones.`,
  );
}

function inWords({ chosen, region, find: finds, described }) {
  if (!chosen) return `At ${described}, as the frame on the picture shows.`;
  const where = region ? "the region that was drawn" : "the whole picture";
  return finds ? `At what is new in the scene, in ${where}; where nothing is, at all of it.` : `At ${where}, in the frame on the picture.`;
}

function use(latest) {
  view = latest;
  set(button, latest?.region ? "Draw another region" : "Draw a region");
  if (!latest) return;
  const { chosen, region, find: finds, empty_scene: scene, problem } = latest;
  set(at("looking-at"), inWords(latest));
  showRegion(chosen && finds ? region : null); // the frame shows it otherwise
  find.checked = finds;
  find.disabled = !scene && !finds;
  at("reset-view").hidden = !chosen;
  const others = otherSamples(latest);
  at("forget-others").hidden = !others;
  set(at("forget-others"), `Forget ${counted(others, "sample")} taught looking at something else`);
  set(
    at("empty-help"),
    scene ? "Where the camera was moved, or the scene has changed:" : "To find things anywhere in the picture, clear the scene and press:",
  );
  set(at("remember-empty"), scene ? "Remember it again" : "Remember the empty scene");
  set(at("looking-problem"), problem ?? "");
}
