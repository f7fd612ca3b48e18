// Named regions of the chosen camera: each is drawn on the picture, named, and recognised by itself.

import { inOrder } from "./api.js";
import { chooseRegion, chosenCamera, onChosen } from "./cameras.js";
import { at, confirmed, h, say } from "./dom.js";
import { draw } from "./drawn-region.js";
import { status } from "./state.js";
import { t } from "./words.js";

const place = at("regions");
const message = at("looking-message");
const order = inOrder();

let regions = [];
let changed = () => {};

/** Wire the list; `onChange()` is called when what is recognised has changed. */
export function startRegions(onChange) {
  changed = onChange;
  place.hidden = false;
  place.append(
    h("h3", { textContent: t("regions.title") }),
    h("p", { className: "help", textContent: t("regions.help") }),
    h("ul", { id: "region-list", className: "region-list" }),
    h("p", { id: "region-question", className: "help", textContent: whereQuestionsAre(), hidden: true }),
    adding(),
  );
  onChosen(() => showRegions().catch((error) => console.info(error.message)));
}

const whereQuestionsAre = () =>
  t("regions.one-question", {
    what: t("regions.no-group"),
    teach: t("view.teach"),
    question: t("teach.group"),
    another: t("teach.another-group"),
  });

/** Whether the chosen camera is looked at in regions alone. */
export const hasRegions = () => mine().length > 0;

/** Ask the device which regions there are. */
export async function showRegions() {
  const latest = await order.ask("regions");
  if (latest) use(latest);
}

const mine = () => regions.filter(({ camera }) => camera === (chosenCamera().camera ?? null));

function use(latest) {
  ({ regions } = latest);
  const list = at("region-list");
  const groups = Object.keys(status?.groups ?? {});
  const now = JSON.stringify([mine(), groups]);
  if (list.dataset.shown === now || list.contains(document.activeElement)) return;
  list.dataset.shown = now;
  list.replaceChildren(...mine().map((region) => row(region, groups)));
  list.hidden = mine().length === 0;
  at("region-question").hidden = list.hidden || groups.length > 0;
}

/** The list is made anew, and what has the focus in it has it again. */
function useFocused(latest) {
  const list = at("region-list");
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const called = focused?.getAttribute("aria-label");
  focused?.blur();
  use(latest);
  if (focused && !focused.isConnected) list.querySelector(`[aria-label="${CSS.escape(called)}"]`)?.focus({ preventScroll: true });
  else focused?.focus({ preventScroll: true });
}

function row(region, groups) {
  const { region: name, group } = region;
  const field = h("input", { className: "field small", value: name, maxLength: 32, "aria-label": t("regions.name-of", { name }) });
  field.addEventListener("change", () => rename(name, field));
  const choice = h("select", { className: "field small", "aria-label": t("regions.group-of", { name }) });
  const names = group === null || groups.includes(group) ? groups : [...groups, group];
  choice.append(
    h("option", { value: "", textContent: t("regions.no-group") }),
    ...names.map((value) => h("option", { value, textContent: t("regions.group", { group: value }) })),
  );
  choice.value = group ?? "";
  choice.addEventListener("change", () => ask("regions", { region: name, group: choice.value }));
  const button = (textContent, label, onclick, className = "quiet") =>
    h("button", { type: "button", className, textContent, "aria-label": label, onclick });
  return h(
    "li",
    {},
    field,
    h("label", { className: "region-asks field-name" }, h("span", { textContent: t("regions.asks") }), choice),
    h(
      "div",
      { className: "look-tools" },
      button(t("regions.show"), t("regions.show-of", { name }), () => chooseRegion(name)),
      button(t("regions.redraw"), t("regions.redraw-of", { name }), () => redraw(region)),
      button(t("regions.remove"), t("regions.remove-of", { name }), () => remove(name), "danger"),
    ),
  );
}

function adding() {
  const field = h("input", { id: "region-name", className: "field small", maxLength: 32, autocomplete: "off" });
  const begin = () => {
    const name = field.value.trim();
    if (!name) return field.focus();
    say(message, "");
    return draw(null, (area) => {
      field.value = "";
      return ask("regions", { region: name, area });
    });
  };
  field.addEventListener("keydown", (event) => event.key === "Enter" && begin());
  return h(
    "div",
    { className: "region-new" },
    h("label", { htmlFor: "region-name", className: "field-name", textContent: t("regions.new") }),
    field,
    h("button", { type: "button", id: "region-draw", textContent: t("regions.draw"), onclick: begin }),
  );
}

function redraw({ region, area }) {
  say(message, "");
  draw(area, (latest) => ask("regions", { region, area: latest }));
}

async function rename(name, field) {
  if (field.value.trim() === name) return;
  if (!(await ask("regions/rename", { region: name, name: field.value }))) field.value = name;
}

async function remove(name) {
  if (await confirmed(t("regions.remove-ask", { name }), t("regions.remove"))) await ask("regions/remove", { region: name });
}

async function ask(path, fields) {
  try {
    const latest = await order.change(path, { ...fields, ...chosenCamera() });
    useFocused(latest);
    const others = Object.entries(latest.others);
    const count = others.reduce((sum, [, each]) => sum + each, 0);
    const named = others.slice(0, 3).map(([label, each]) => t("looking.of", { count: each, label })).join(", ");
    say(message, count ? t("looking.others", { count, named }) : "");
    changed();
    return true;
  } catch (error) {
    say(message, error.message, true);
    return false;
  }
}
