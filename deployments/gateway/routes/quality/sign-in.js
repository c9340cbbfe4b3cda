// Sends the key once, in a header; then the browser has a cookie, and the page behind this one opens.

import { call, key, Problem } from "/page/api.js";
import { byId, tell } from "/page/dom.js";

async function open(secret) {
  await call("/v1/quality/session", { method: "POST", as: secret });
  // A browser that keeps no cookie would come back here for ever.
  if ((await fetch(location.href, { cache: "no-store" })).status === 401)
    throw new Problem(401, "NO_COOKIE", "This browser has not kept the cookie.", "Allow cookies of this site.");
  location.reload();
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  tell("key-error", null);
  try {
    await open(byId("key").value.trim());
  } catch (error) {
    tell("key-error", error);
  }
});

// The key of the status page, when it was opened in this tab.
const kept = key.get();
try {
  if (kept) await open(kept);
} catch {
  // it lacks the scope, or is no longer valid: another one is asked for
}
byId("key-form").hidden = false;
byId("key").focus();
