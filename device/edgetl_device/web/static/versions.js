// Head versions, newest first; any that was once good is one click away.

import { get, post } from "./api.js";
import { at, h } from "./dom.js";
import { versionOf } from "./outcome.js";
import { told } from "./toast.js";
import { ago, t } from "./words.js";

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
  at("versions-more").textContent = t("all", { count: versions.length });
}

function row(version, changed) {
  const named = { version: String(version.version) };
  const number = h("span", {
    className: "number",
    textContent: version.version,
    "aria-label": t("versions.number", named),
  });
  const text = h(
    "span",
    {},
    h("span", { className: "why-not", textContent: versionOf(version) }),
    h("span", { className: "when", textContent: ago(version.time) }),
  );
  return h("li", { "data-active": String(version.active) }, number, text, choice(version, changed));
}

function choice(version, changed) {
  const named = { version: String(version.version) };
  if (version.active) return h("span", { className: "badge", textContent: t("versions.active") });
  if (!GOOD.includes(version.state))
    return h("span", { className: "badge", "data-state": version.state, textContent: t(`versions.${version.state}`) });
  const button = h("button", { type: "button", textContent: t("versions.use"), "aria-label": t("versions.use-one", named) });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post("rollback", { version: version.version });
      told(t("versions.used", named));
      changed();
    } catch (error) {
      told(error.message, true);
      button.disabled = false;
    }
  });
  return button;
}
