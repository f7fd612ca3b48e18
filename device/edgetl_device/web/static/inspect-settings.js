// How strict inspection is, and what of the picture it looks at.

import { post } from "./api.js";
import { at, confirmed, say } from "./dom.js";
import { draw, drawing, showRegion, startDrawing, stopDrawing } from "./drawn-region.js";
import { change, inspection, use } from "./inspection.js";
import { percent, t } from "./words.js";

const SHARES = [0.2, 0.1, 0.05, 0.02, 0.01]; // of good parts that may be flagged, as the slider goes

const slider = at("strictness");
const looks = at("looks");
const turned = at("turned");

/** Wire the card. */
export function startSettings(changed) {
  slider.addEventListener("input", () => tell(SHARES[Number(slider.value)]));
  slider.addEventListener("change", () => apply({ false_alarms: SHARES[Number(slider.value)] }));
  looks.addEventListener("change", () => {
    if (known(inspection)) {
      use(inspection); // sets the choice back
      return say(at("look-message"), t("inspect.forget-first"), true);
    }
    const look = chosen();
    if (look === "region" && !inspection?.view?.region) {
      say(at("look-message"), "");
      return draw(null, null, () => looks.querySelector("[name=look]:checked"));
    }
    stopDrawing();
    return changeView({ region: look === "region" ? inspection.view.region : null });
  });
  at("forget-all").addEventListener("click", async () => {
    if (!(await confirmed(t("inspect.forget-ask", { count: known(inspection) }), t("forget")))) return;
    await post("inspection/forget", { all: true });
    changed();
  });
  at("redraw").addEventListener("click", () => {
    say(at("look-message"), "");
    draw(inspection.view.region);
  });
  startDrawing((region) => changeView({ region }), () => use(inspection));
}

/** Show how it is set. */
export function showSettings({ available, good, fine, bad, false_alarms: target, view: look }) {
  const taught = known({ good, fine, bad });
  looks.disabled = slider.disabled = !available;
  at("forget-all").hidden = !taught;
  if (!available) return;
  if (document.activeElement !== slider) slider.value = nearest(target);
  tell(SHARES[Number(slider.value)]);
  if (taught) stopDrawing(); // taught before a region was drawn
  turned.checked = look.turned;
  const value = look.find_part ? "find" : look.region ? "region" : "whole";
  if (!drawing() || look.region) looks.querySelector(`[value=${value}]`).checked = true;
  at("redraw").hidden = Boolean(taught) || !look.region;
  showRegion(look.region);
}

const known = ({ good, fine, bad }) => good + fine + bad;
const chosen = () => looks.querySelector("[name=look]:checked").value;
const nearest = (target) => SHARES.reduce((best, share, index) => (Math.abs(share - target) < Math.abs(SHARES[best] - target) ? index : best), 0);

/** What a position of the slider means, from what was taught. */
function tell(share) {
  const row = inspection.curve.find(({ target }) => Math.abs(target - share) < 1e-6);
  const told = [t("inspect.about", { share: percent(share) })];
  if (row) told.push(t("inspect.of-taught", { share: percent(row.false_alarms) }));
  if (row && row.found !== null) told.push(t("inspect.finds", { share: percent(row.found) }));
  at("strictness-text").textContent = told.join(" ");
}

async function changeView(fields) {
  await apply({ view: { region: null, find_part: chosen() === "find", turned: turned.checked, ...fields } });
}

async function apply(fields) {
  try {
    await change("settings", fields);
    say(at("look-message"), "");
  } catch (error) {
    use(inspection);
    say(at("look-message"), error.message, true);
  }
}
