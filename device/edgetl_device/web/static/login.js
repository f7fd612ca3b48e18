// Logging in.

import { get, post } from "./api.js";
import { at } from "./dom.js";

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = at("problem");
  problem.textContent = "";
  try {
    await post("login", { password: at("password").value });
    location.replace(location.pathname === "/inspect" ? "/inspect" : "/");
  } catch (error) {
    problem.textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
    at("password").select();
  }
});
