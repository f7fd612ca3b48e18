// In which language the page is read.

import { at, h } from "./dom.js";
import { LANGUAGES, chooseLanguage, chosenLanguage, t } from "./words.js";

/** Fill and wire the choice. */
export function startLanguage() {
  const choice = at("language");
  choice.append(
    h("option", { value: "", textContent: t("page.browser-language") }),
    ...Object.entries(LANGUAGES).map(([value, textContent]) => h("option", { value, textContent, lang: value })),
  );
  choice.value = chosenLanguage() ?? "";
  choice.addEventListener("change", () => chooseLanguage(choice.value || null));
}
