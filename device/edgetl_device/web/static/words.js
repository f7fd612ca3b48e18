// The page's words, numbers and times, in the reader's language; strings/NAME.js holds the words of one.

/** What the page can be read in: code → its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch" };

const KEPT = "edgetl-language";
const BLANK = "\u00a0"; // between a number and its unit no line breaks

/** The chosen language, or null where the browser's is taken. */
export function chosenLanguage() {
  try {
    const kept = localStorage.getItem(KEPT);
    return Object.hasOwn(LANGUAGES, kept ?? "") ? kept : null;
  } catch {
    return null; // storage is switched off
  }
}

/** Read the page in a language from now on; null takes the browser's. */
export function chooseLanguage(code) {
  try {
    if (code === null) localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, code);
  } catch {
    return; // it stays as it is
  }
  location.reload();
}

const spokenHere = (tag) => Object.hasOwn(LANGUAGES, tag.split("-")[0]);
const wanted = chosenLanguage() ?? navigator.languages.find(spokenHere) ?? "en";

/** The language of the page. */
export const language = wanted.split("-")[0];

const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language; // with its region
const { default: strings } = await import(`./strings/${language}.js`);
const plural = new Intl.PluralRules(language);

document.documentElement.lang = language;

/** The words of a key. `{name}` stands for a value; numbers are written as the language does, and `{count}` decides
 *  about the plural. */
export function t(key, values = {}) {
  const words = strings[key];
  if (words === undefined) throw new Error(`no words for ${key} in ${language}`);
  const text = typeof words === "string" ? words : words[plural.select(values.count)];
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name]));
}

/** Words into a part of the page: data-t is an element's text, data-t-NAME its attribute NAME. */
export function translate(root) {
  for (const element of root.querySelectorAll("*")) {
    for (const [name, key] of Object.entries(element.dataset)) {
      if (name === "t") element.textContent = t(key);
      else if (name === "tLabel") element.setAttribute("aria-label", t(key));
      else if (name === "tPlaceholder") element.placeholder = t(key);
    }
  }
}

/** 12345.678 → "12,345.68", or with so many digits after the point. */
export const number = (value, digits = null) =>
  value.toLocaleString(locale, digits === null ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** 0.934 → "93 %", as messages of the device have it too. */
export const percent = (share) => `${number(Math.round(share * 100))}${BLANK}%`;

/** 0.0432 s → "43 ms", 1.5 s → "1.5 s". */
export const duration = (ms) => (ms < 1000 ? `${number(Math.round(ms))}${BLANK}ms` : `${number(ms / 1000, 1)}${BLANK}s`);

/** 1234567 → "1.2 MB". */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = bytes > 0 ? Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1) : 0;
  const value = bytes / 1000 ** step;
  const written = value.toLocaleString(locale, { maximumFractionDigits: value < 100 ? 1 : 0 });
  return `${written}${BLANK}${units[step]}`;
}

/** An ISO time → "14:02" in the reader's way. */
export const clock = (iso) =>
  new Date(iso).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }); // as an axis of hours has it

/** An ISO time → "3 Nov 2026" in the reader's way. */
export const day = (iso) => new Date(iso).toLocaleDateString(locale, { day: "numeric", month: "short", year: "numeric" });

/** An ISO time → "just now", "5 min ago", "today 14:02" or "3 Nov 2026, 14:02". */
export function ago(iso) {
  const minutes = Math.floor((Date.now() - new Date(iso)) / 60000);
  if (minutes < 1) return t("time.now");
  if (minutes < 60) return t("time.minutes", { minutes });
  const today = new Date(iso).toDateString() === new Date().toDateString();
  return today ? t("time.today", { clock: clock(iso) }) : t("time.day", { day: day(iso), clock: clock(iso) });
}
