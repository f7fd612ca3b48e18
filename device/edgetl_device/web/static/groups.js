// Groups of labels: which question is taught, and what each of them says of the picture.

import { viewGroup } from "./cameras.js";
import { at, h, set } from "./dom.js";
import { status } from "./state.js";
import { percent, t } from "./words.js";

const OTHER = " other"; // no group is called so: names have no blanks around them

const question = at("teach-group");
const newName = at("teach-group-name");
const answers = at("answers");

/** Wire the choice of a question; `chosen()` is called when it was made. */
export function startGroups(chosen) {
  question.addEventListener("change", () => {
    showField();
    chosen();
    if (!newName.hidden) newName.focus();
  });
  newName.addEventListener("input", showField);
}

/** The group that is taught, or that the chosen view asks; null for what it is, "" where a name is still to be given. */
export function chosenGroup() {
  if (question.value === OTHER) return newName.value.trim();
  return question.value || viewGroup();
}

/** Choose a group that is there by now. */
export function keepGroup(group) {
  if (group === null || question.value === group || !status.groups[group]) return;
  question.value = group;
  showField();
}

/** What a request needs besides to be about a group. */
export const about = (group) => (group === null ? {} : { group });

/** Offer the groups that there are. */
export function showGroups() {
  const names = Object.keys(status.groups);
  const now = names.join("\n");
  if (question.dataset.names === now) return;
  question.dataset.names = now;
  const was = question.value;
  question.replaceChildren(
    h("option", { value: "", textContent: t("teach.what") }),
    ...names.map((name) => h("option", { value: name, textContent: name })),
    h("option", { value: OTHER, textContent: t("teach.another-group") }),
  );
  const typed = was === OTHER ? newName.value.trim() : was;
  question.value = names.includes(typed) ? typed : was === OTHER ? OTHER : "";
  showField();
}

function showField() {
  newName.hidden = question.value !== OTHER;
  const group = chosenGroup();
  set(at("teach-asks"), group === null ? t("teach.asks") : group ? t("teach.asks-group", { group }) : t("teach.asks-new-group"));
}

/** A line for each group, below what it is. */
export function showAnswers(groups) {
  const entries = Object.entries(groups);
  answers.hidden = entries.length === 0;
  while (answers.children.length > entries.length) answers.lastChild.remove();
  while (answers.children.length < entries.length)
    answers.append(h("div", {}, h("dt"), h("dd", {}, h("span", { className: "name" }), h("span", { className: "share" }))));
  entries.forEach(([group, { label, probability, unknown }], row) => {
    const [term, { children }] = answers.children[row].children;
    answers.children[row].dataset.state = unknown ? "unknown" : "known";
    set(term, group);
    set(children[0], label === null ? t("sees.nothing-learned") : unknown ? t("sees.unknown") : label);
    set(children[1], label === null ? "" : unknown ? t("sees.closest", { label }) : percent(probability));
  });
}
