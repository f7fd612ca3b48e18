// What was taught, asked again: labels that look wrong, and how well each class is known.

import { get, post } from "./api.js";
import { at, counted, h, percent, say, spoken } from "./dom.js";

const MOST_SHOWN = 12;

/** Wire the question; `changed()` is called when a label was corrected. */
export function startTaught(changed) {
  at("taught-ask").addEventListener("click", () => ask(changed));
}

async function ask(changed) {
  const button = at("taught-ask");
  button.disabled = true;
  say(at("taught-message"), "Asking every sample…");
  try {
    show(await get("health"), changed);
  } catch (error) {
    say(at("taught-message"), error.message, true);
  } finally {
    button.disabled = false;
  }
}

function show({ samples, doubtful, classes, confused }, changed) {
  say(at("taught-message"), summary(samples, doubtful.length, confused));
  at("taught-list").replaceChildren(...doubtful.slice(0, MOST_SHOWN).map((each) => card(each, changed)));
  at("taught-classes").replaceChildren(...classes.map(row));
  at("taught-table").hidden = !classes.length;
}

function summary(samples, doubtful, confused) {
  if (!samples) return "Nothing to ask yet: it takes two classes, and samples that were taught here.";
  const wrong = doubtful
    ? `${doubtful.toLocaleString("en")} of ${counted(samples, "sample")} ${doubtful === 1 ? "looks" : "look"} mislabelled.`
    : `None of ${counted(samples, "sample")} looks mislabelled.`;
  const most = confused ? ` Most often taken for each other: ${confused[0]} and ${confused[1]}.` : "";
  return wrong + most;
}

function card({ id, label, looks_like: looksLike }, changed) {
  const item = h("li", { className: "batch" });
  const act = async (path, fields, told) => {
    for (const button of item.querySelectorAll("button")) button.disabled = true;
    try {
      say(at("taught-message"), told(await post(path, fields)));
      item.remove();
      at("taught-ask").focus(); // the buttons are gone
      if (path !== "samples/confirm") changed();
    } catch (error) {
      for (const button of item.querySelectorAll("button")) button.disabled = false;
      say(at("taught-message"), error.message, true);
    }
  };
  const button = (textContent, onclick, className = "") => h("button", { type: "button", textContent, onclick, className });
  const picture = h("img", { src: `/api/v1/samples/${id}/thumbnail`, alt: "", loading: "lazy", width: 56, height: 56 });
  picture.addEventListener("error", () => picture.replaceWith(h("span", { className: "blank", textContent: `#${id}` })));
  item.append(
    h("p", { className: "about" }, h("strong", { textContent: `Taught as ${label}, looks like ${looksLike}` })),
    h("div", { className: "pictures" }, picture),
    h(
      "div",
      { className: "choices", role: "group", "aria-label": `What is sample ${id}?` },
      button(`It is ${looksLike}`, () =>
        act("relabel", { label: looksLike, ids: [id] }, (answer) => `Moved to ${looksLike}. ${spoken(answer.reason)}`),
      ),
      button(`It is ${label}`, () => act("samples/confirm", { ids: [id] }, () => `Kept as ${label}: nobody asks again.`)),
      button("Forget", () => act("forget", { ids: [id] }, () => "Forgot 1 sample."), "danger"),
    ),
  );
  return item;
}

function row({ label, samples, photos, right, interval, confused_with: other, missing }) {
  const notes = [];
  if (missing) notes.push(`rests on ${counted(photos, "photo")}: add ${missing}`);
  if (other) notes.push(`else taken for ${other}`);
  return h(
    "tr",
    {},
    h("th", { scope: "row", textContent: label }),
    h("td", { textContent: `${right} of ${samples}` }),
    h("td", { textContent: `${percent(interval[0])} to ${percent(interval[1])}` }),
    h("td", { className: "note", textContent: notes.join("; ") }),
  );
}
