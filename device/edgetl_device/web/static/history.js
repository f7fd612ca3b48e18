// What the camera saw and when: a day or all days, by label and camera, newest first, to export or delete.

import { get, post } from "./api.js";
import { at, confirmed, h } from "./dom.js";
import { drawCounts } from "./history-chart.js";
import { dayOf, eventOf, spanOf } from "./history-time.js";
import { status } from "./state.js";
import { told } from "./toast.js";
import { onView } from "./views.js";
import { day, number, t } from "./words.js";

const PAGE = 48;
const LOOK_EVERY_MS = 10000;

const place = at("history");
const part = (name) => place.querySelector(`[data-part=${name}]`);

let open = false;
let events = [];
let next = null;
let more = false; // whether later pages are shown too: then nothing moves by itself
let total = 0;
let newest = 0; // the number of the newest event that is counted
let asked = 0;

/** Fill the view. */
export function startHistory() {
  place.replaceChildren(card(), list());
  part("day").value = dayOf(new Date());
  for (const name of ["label", "camera", "day"]) part(name).addEventListener("change", show);
  part("all-days").addEventListener("change", () => {
    part("day").disabled = part("earlier").disabled = part("all-days").checked;
    show();
  });
  part("earlier").addEventListener("click", () => step(-1));
  part("later").addEventListener("click", () => step(1));
  part("more").addEventListener("click", () => quietly(showMore()));
  part("delete").addEventListener("click", () => quietly(deleteShown()));
  onView((view) => {
    open = view === "history";
    if (open) show();
  });
  setInterval(() => open && !more && !document.hidden && quietly(refresh()), LOOK_EVERY_MS);
}

const quietly = (work) => work.catch((error) => told(error.message, true));

function show() {
  more = false;
  part("more").hidden = true; // until it is known what there is more
  const last = part("all-days").checked || part("day").value >= dayOf(new Date());
  if (last && document.activeElement === part("later")) part("day").focus();
  part("later").disabled = last;
  quietly(refresh());
}

/** Fetch and show what is chosen; what has not changed stays as it is. */
async function refresh() {
  const turn = ++asked;
  const [counts, page] = await Promise.all([get(`history/hours?${chosen()}`), get(`history?${chosen({ limit: PAGE })}`)]);
  if (turn !== asked) return;
  fillChoices(counts);
  drawCounts(part("chart"), counts.hours, part("all-days").checked ? null : part("day").value);
  const same = JSON.stringify(page.events) === JSON.stringify(events.slice(0, page.events.length));
  next = page.next;
  if (!same || page.events.length !== events.length) {
    events = page.events;
    part("events").replaceChildren(...events.map(row));
  }
  total = page.total;
  newest = page.events[0]?.id ?? 0;
  part("count").textContent = total ? number(total) : "";
  showEnds();
}

async function showMore() {
  const turn = ++asked;
  more = true;
  const page = await get(`history?${chosen({ limit: PAGE, before: next })}`).catch((error) => {
    more = false;
    throw error;
  });
  if (turn !== asked) return;
  next = page.next;
  events = [...events, ...page.events];
  const rows = page.events.map(row);
  part("events").append(...rows);
  part("more").hidden = next === null;
  rows[0]?.querySelector("button").focus();
}

function showEnds() {
  const { recording, problem, dropped, since } = status?.history ?? {};
  part("more").hidden = next === null;
  part("empty").hidden = total > 0;
  part("empty").textContent = since === null ? t("history.empty") : t("history.nothing");
  part("delete").hidden = total === 0;
  for (const [name, kind] of [["csv", "history.csv"], ["json", "history.json"]]) {
    part(name).hidden = total === 0;
    part(name).href = `/api/v1/${kind}?${chosen()}`;
  }
  const lost = dropped ? t("history.dropped", { count: dropped }) : "";
  const words = problem ? t("history.problem", { problem }) : recording === false ? t("history.off") : lost;
  part("problem").textContent = words;
  part("problem").dataset.state = problem ? "failed" : "done";
}

/** Labels and cameras to choose from; a chosen one stays, also where it has no event. */
function fillChoices({ labels, cameras }) {
  const all = Object.values(labels).reduce((sum, count) => sum + count, 0);
  fill(part("label"), labels, t("history.all-labels", { count: all }), (label) => (label === "unknown" ? t("history.unknown") : label));
  fill(part("camera"), cameras, t("history.all-cameras"), (camera) => camera);
  const several = (status?.cameras?.length ?? 0) > 1 || Object.keys(cameras).length > 1 || part("camera").value;
  if (several) part("camera-field").hidden = false; // from then on it stays, so that the arrows stay where they are
}

function fill(select, counts, all, named) {
  const value = select.value;
  const there = Object.hasOwn(counts, value) || !value ? counts : { ...counts, [value]: 0 };
  const choices = Object.entries(there).map(([name, count]) =>
    h("option", { value: name, textContent: t("history.choice", { name: named(name), count }) }),
  );
  select.replaceChildren(h("option", { value: "", textContent: all }), ...choices);
  select.value = value;
}

/** What is chosen, as a query. */
function chosen(others = {}) {
  const query = { ...others, label: part("label").value, camera: part("camera").value };
  if (!part("all-days").checked) [query.since, query.until] = spanOf(part("day").value);
  return new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null));
}

function step(days) {
  const [since] = spanOf(part("day").value);
  const there = new Date(since);
  there.setDate(there.getDate() + days);
  part("day").value = dayOf(there);
  show();
}

async function deleteShown() {
  const label = part("label").value;
  const camera = part("camera").value;
  const everything = part("all-days").checked && !label && !camera;
  const when = part("all-days").checked ? t("history.of-all-days") : day(`${part("day").value}T12:00`);
  const what = { count: total, when, of: label || camera };
  const question = label || camera ? t("history.delete-some", what) : t("history.delete-all", what);
  const before = newest + 1; // what comes while the question is open was not asked about
  if (!(await confirmed(question, t("history.delete")))) return;
  const { deleted } = await post("history/delete", { ...(everything ? { all: true } : Object.fromEntries(chosen())), before });
  told(t("history.deleted", { count: deleted }));
  at("title").focus(); // the button goes
  show();
}

async function deleteOne(id, spoken, item) {
  if (!(await confirmed(t("history.delete-this-ask", { event: spoken }), t("history.delete")))) return;
  await post("history/delete", { ids: [id] });
  const near = item.nextElementSibling ?? item.previousElementSibling;
  near?.querySelector("button").focus();
  item.remove();
  events = events.filter((event) => event.id !== id);
  if (!near) at("title").focus();
  if (!more) await refresh();
}

function row(event) {
  const { name, about, spoken, time } = eventOf(event, part("all-days").checked);
  const picture = event.picture
    ? h("img", { src: `/api/v1/history/${event.id}/snapshot`, alt: "", loading: "lazy", width: 96, height: 72 })
    : h("span", { className: "blank", "aria-hidden": "true" });
  if (event.picture) picture.addEventListener("error", () => picture.replaceWith(h("span", { className: "blank" })));
  const remove = h("button", {
    type: "button",
    className: "quiet remove",
    textContent: "×",
    title: t("history.delete-one"),
    "aria-label": t("history.delete-this", { event: spoken }),
  });
  const item = h(
    "li",
    {},
    picture,
    h(
      "span",
      { className: "what" },
      h("strong", { textContent: name }),
      h("span", {}, h("time", { dateTime: event.start, textContent: time }), ` · ${about}`),
    ),
    remove,
  );
  remove.addEventListener("click", () => quietly(deleteOne(event.id, spoken, item)));
  return item;
}

function card() {
  const select = (name) => h("select", { className: "field small", "data-part": name, id: `history-${name}` });
  const field = (name, input, extra = {}) =>
    h("p", { className: "choice", ...extra }, h("label", { className: "field-name", htmlFor: input.id, textContent: t(`history.${name}`) }), input);
  const days = h("input", { type: "date", className: "field small", id: "history-day", "data-part": "day", max: dayOf(new Date()) });
  const arrow = (name, textContent) =>
    h("button", { type: "button", textContent, "data-part": name, "aria-label": t(`history.${name}`), title: t(`history.${name}`) });
  const every = h(
    "label",
    { className: "check" },
    h("input", { type: "checkbox", "data-part": "all-days" }),
    h("span", { textContent: t("history.all-days") }),
  );
  return h(
    "div",
    { className: "card history-chosen" },
    h(
      "div",
      { className: "choices", role: "group", "aria-label": t("history.choose") },
      field("label", select("label")),
      field("camera", select("camera"), { "data-part": "camera-field", hidden: true }),
      h(
        "div",
        { className: "choice" },
        h("label", { className: "field-name", htmlFor: "history-day", textContent: t("history.day") }),
        h("div", { className: "days" }, arrow("earlier", "‹"), days, arrow("later", "›"), every),
      ),
    ),
    h("p", { className: "message", "data-part": "problem", role: "status" }),
    h("figure", { "data-part": "chart" }),
  );
}

function list() {
  const file = (name) =>
    h("a", { className: "button", "data-part": name, textContent: t(`history.${name}`), "aria-label": t(`history.${name}-all`), download: `history.${name}`, hidden: true });
  return h(
    "div",
    { className: "card" },
    h(
      "div",
      { className: "card-head" },
      h("h2", {}, h("span", { textContent: t("history.title") }), " ", h("span", { className: "count", "data-part": "count" })),
      h(
        "div",
        { className: "files" },
        file("csv"),
        file("json"),
        h("button", { type: "button", className: "danger quiet", "data-part": "delete", textContent: t("history.delete-shown"), hidden: true }),
      ),
    ),
    h("p", { id: "history-empty", className: "empty", "data-part": "empty", hidden: true }),
    h("ol", { className: "events", "data-part": "events" }),
    h("div", { className: "pager" }, h("button", { type: "button", className: "quiet", "data-part": "more", textContent: t("history.more"), hidden: true })),
  );
}
