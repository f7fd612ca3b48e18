// What became of what a person did: one message, where it is seen wherever the page was scrolled to.

import { at, h } from "./dom.js";
import { onView } from "./views.js";
import { t } from "./words.js";

const READ_MS = 8000; // a message that all went well goes after so long
const LONG_MS = 20000; // or after so long where it offers a choice, which is elsewhere on the page too; and a failure

const place = at("result");
place.addEventListener("click", ({ target }) => target.closest(".choices") && place.focus()); // the button may go
addEventListener("keydown", (event) => event.key === "Escape" && hideToast());
onView(() => place.dataset.state !== "working" && hideToast()); // it was about what was done there

let timer = 0;

/** Show a message: "promoted", "rejected", "failed" or "working"; what did not go well and asks stays until it is answered. */
export function toast(state, title, detail = "", ...actions) {
  clearTimeout(timer);
  const answered = place.contains(document.activeElement); // its buttons go
  place.hidden = false;
  place.dataset.state = state;
  const close = h("button", { type: "button", className: "close", textContent: "×", "aria-label": t("toast.close"), onclick: hideToast });
  place.replaceChildren(
    h("strong", { textContent: title }),
    h("span", { className: "detail", textContent: detail }),
    ...(actions.length ? [h("div", { className: "choices" }, ...actions)] : []),
    ...(state === "working" ? [] : [close]),
  );
  if (answered) place.focus();
  if (state !== "working") wait(performance.now());
}

/** It went well, or it did not. */
export const told = (text, failed = false) => (failed ? toast("failed", t("toast.failed"), text) : toast("promoted", text));

/** Take the message away. */
export function hideToast() {
  clearTimeout(timer);
  if (place.contains(document.activeElement)) at("title").focus();
  place.hidden = true;
}

function wait(shownAt) {
  timer = setTimeout(() => {
    const asks = place.querySelector(".choices") !== null;
    const well = place.dataset.state === "promoted";
    const due = asks && !well ? Infinity : asks || !well ? LONG_MS : READ_MS;
    if (place.matches(":hover, :focus-within") || performance.now() - shownAt < due) wait(shownAt);
    else hideToast();
  }, READ_MS);
}
