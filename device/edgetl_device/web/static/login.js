// Logging in.

import { get, post } from "./api.js";
import { at } from "./dom.js";
import { t, translate } from "./words.js";

translate(document);
document.title = `${t("login.title")} · edgetl`;
at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = at("problem");
  problem.textContent = "";
  try {
    await post("login", { password: at("password").value });
    location.reload(); // the device now answers with what was asked for
  } catch (error) {
    problem.textContent = t("login.problem", { problem: `${error.message[0].toUpperCase()}${error.message.slice(1)}` });
    at("password").select();
  }
});
document.querySelector("button").disabled = false; // before, the browser would reload the page, and forget the password
