// REST under /api/v1. A refusal becomes an Error whose message is the device's one line.

import { t } from "./words.js";

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, options);
  } catch {
    throw new Error(t("error.away"));
  }
  if (response.status === 401 && path !== "login") {
    location.reload(); // the session has ended: the device now answers with the login page
    return new Promise(() => {});
  }
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(answer.error ?? t("error.status", { status: response.status }));
    error.meant = answer.did_you_mean; // a known label that a new one may be a slip of
    throw error;
  }
  return answer;
}

export const get = (path) => call(path);

export const post = (path, fields = {}) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });

export const send = (path, file, type) => call(path, { method: "POST", headers: { "Content-Type": type }, body: file });

/** Questions about one thing and changes of it, in order: an answer is null where a question or a change overtook it. */
export function inOrder() {
  let asked = 0;
  let changing = 0;
  return {
    async ask(path) {
      const number = ++asked;
      const answer = await get(path);
      return number === asked && !changing ? answer : null;
    },
    async change(path, fields) {
      changing++;
      try {
        return await post(path, fields);
      } finally {
        changing--;
        asked++;
      }
    },
  };
}
