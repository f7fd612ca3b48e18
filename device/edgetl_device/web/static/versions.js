// Head versions, newest first; any that was once good is one click away.

import { get, post } from "./api.js";
import { ago, at, h, say, spoken } from "./dom.js";

const FEW = 5;
const GOOD = ["factory", "promoted"]; // what the device goes back to; the others were rejected, or failed in use

let all = false;

/** Wire the versions; `changed()` is called after a rollback. */
export function startVersions(changed) {
  at("versions-more").addEventListener("click", () => {
    all = true;
    showVersions(changed);
  });
}

/** Fetch and show them. */
export async function showVersions(changed) {
  const versions = (await get("versions")).versions.reverse();
  const shown = all ? versions : versions.filter((version, row) => row < FEW || version.active);
  at("versions-list").replaceChildren(...shown.map((version) => row(version, changed)));
  at("versions-more").hidden = shown.length === versions.length;
  at("versions-more").textContent = `Show all ${versions.length}`;
}

function row(version, changed) {
  const number = h("span", {
    className: "number",
    textContent: version.version,
    "aria-label": `Version ${version.version}`,
  });
  const text = h(
    "span",
    {},
    h("span", { className: "why-not", textContent: reason(version) }),
    h("span", { className: "when", textContent: ago(version.time) }),
  );
  return h("li", { "data-active": String(version.active) }, number, text, choice(version, changed));
}

function reason({ state, reason: text }) {
  return state === "factory" ? "from the bundle" : spoken(text);
}

function choice(version, changed) {
  if (version.active) return h("span", { className: "badge", textContent: "in use" });
  if (!GOOD.includes(version.state))
    return h("span", { className: "badge", "data-state": version.state, textContent: version.state });
  const button = h("button", { type: "button", textContent: "Use", "aria-label": `Use version ${version.version}` });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post("rollback", { version: version.version });
      say(at("versions-message"), `Version ${version.version} is in use.`);
      changed();
    } catch (error) {
      say(at("versions-message"), error.message, true);
      button.disabled = false;
    }
  });
  return button;
}
