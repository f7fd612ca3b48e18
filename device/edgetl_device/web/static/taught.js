// What was taught, asked again: labels that look wrong, and how well each class is known.

import { get, post } from "./api.js";
import { at, h, say } from "./dom.js";
import { effectOf } from "./outcome.js";
import { percent, t } from "./words.js";

const MOST_SHOWN = 12;

/** Wire the question; `changed()` is called when a label was corrected. */
export function startTaught(changed) {
  at("taught-ask").addEventListener("click", () => ask(changed));
}

async function ask(changed) {
  const button = at("taught-ask");
  button.disabled = true;
  say(at("taught-message"), t("taught.asking"));
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
  if (!samples) return t("taught.nothing");
  const all = { samples: t("samples", { count: samples }) };
  const wrong = doubtful ? t("taught.wrong", { count: doubtful, ...all }) : t("taught.none-wrong", all);
  const most = confused ? t("taught.confused", { one: confused[0], other: confused[1] }) : "";
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
    h("p", { className: "about" }, h("strong", { textContent: t("taught.looks-like", { label, meant: looksLike }) })),
    h("div", { className: "pictures" }, picture),
    h(
      "div",
      { className: "choices", role: "group", "aria-label": t("taught.what", { id: String(id) }) },
      button(t("taught.is", { label: looksLike }), () =>
        act("relabel", { label: looksLike, ids: [id] }, (answer) => t("taught.moved", { label: looksLike, reason: effectOf(answer) })),
      ),
      button(t("taught.is", { label }), () => act("samples/confirm", { ids: [id] }, () => t("taught.kept", { label }))),
      button(t("forget"), () => act("forget", { ids: [id] }, () => t("forgot", { count: 1 })), "danger"),
    ),
  );
  return item;
}

function row({ label, samples, photos, right, interval, confused_with: other, missing }) {
  const notes = [];
  if (missing) notes.push(t("taught.rests", { count: photos, missing }));
  if (other) notes.push(t("taught.else", { label: other }));
  return h(
    "tr",
    {},
    h("th", { scope: "row", textContent: label }),
    h("td", { textContent: t("taught.of", { right, samples }) }),
    h("td", { textContent: t("taught.range", { low: percent(interval[0]), high: percent(interval[1]) }) }),
    h("td", { className: "note", textContent: notes.join("; ") }),
  );
}
