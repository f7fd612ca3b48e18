// Small tools for the page: elements, words, times. Text is always set as text, never as markup.

/** The element with an id; it must be there. */
export function at(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element;
}

/** A new element. Properties starting with "data-" or "aria-", and "role", become attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("data-") || name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set a text, if it is another one. */
export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** 0.934 → "93 %". */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** The device's reason, with typographic arrows. */
export const spoken = (reason) => reason.replaceAll("->", "→");

/** 1, "frame" → "1 frame"; 3, "frame" → "3 frames". */
export const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** 41 → "41 ms", 5727 → "5.7 s". */
export const duration = (milliseconds) =>
  milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;

/** Bytes → "12.3 MB". */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = bytes > 0 ? Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1) : 0;
  const value = bytes / 1000 ** step;
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 })} ${units[step]}`;
}

/** An ISO time → "just now", "5 min ago", "today 14:02" or "3 Nov 2026, 14:02". */
export function ago(iso) {
  const then = new Date(iso);
  const minutes = (Date.now() - then) / 60000;
  const clock = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${Math.floor(minutes)} min ago`;
  if (then.toDateString() === new Date().toDateString()) return `today ${clock}`;
  return `${then.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })}, ${clock}`;
}

/** Show a message in its place; failures look like failures. */
export function say(place, text, failed = false) {
  place.textContent = text;
  place.dataset.state = failed ? "failed" : "done";
}

/** Ask before something that cannot be undone. */
export function confirmed(question, verb) {
  const dialog = at("confirm");
  at("confirm-text").textContent = question;
  at("confirm-yes").textContent = verb;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}
