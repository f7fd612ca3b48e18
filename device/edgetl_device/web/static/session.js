// Signing out, where there is a password.

import { get, post } from "./api.js";
import { at } from "./dom.js";

/** Wire the button in the page's head. */
export function startSession() {
  at("sign-out").addEventListener("click", async () => {
    await post("logout");
    location.reload();
  });
  get("session").then(({ password }) => {
    at("sign-out").hidden = !password;
  });
}
