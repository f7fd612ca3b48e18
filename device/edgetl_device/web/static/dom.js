// Small tools for the page: elements, messages, questions. Text is always set as text, never as markup.

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

/** The device's reason as a sentence begins, with typographic arrows. */
export const spoken = (reason) => `${reason.charAt(0).toUpperCase()}${reason.slice(1)}`.replaceAll("->", "→");

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
