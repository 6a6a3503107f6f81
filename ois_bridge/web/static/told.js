// What becomes of a partial update that was not done: the answer's own words stand above the page.
// When the session is over, one logs in beside the page (again.js) and the update is asked for once more.
import { logInAgain, offer, over } from "/static/again.js";

export function tell(text) {
  const main = document.getElementById("main") ?? document.body;
  document.getElementById("told")?.remove();
  const box = document.createElement("div");
  box.id = "told";
  box.className = "message bad";
  box.setAttribute("role", "alert");
  box.textContent = `✖ ${text}`;
  main.prepend(box);
}

function words(xhr) {
  const answer = new DOMParser().parseFromString(xhr.responseText, "text/html");
  const said = answer.querySelector("[role=alert], main p")?.textContent ?? "";
  return said.trim() || `${xhr.status} ${xhr.statusText}`;
}

// What the page asks by itself: it keeps no session awake, and opens no dialog while somebody types.
function unattended(event) {
  return !event || event.type === "load" || event.type.startsWith("live:");
}

document.addEventListener("htmx:configRequest", (event) => {
  if (unattended(event.detail.triggeringEvent)) event.detail.headers["X-PTCS-Unattended"] = "1";
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig, target } = event.detail;
  if (!over(xhr.status, xhr.getResponseHeader("X-PTCS-Log-In"))) {
    document.getElementById("told")?.remove();
    return;
  }
  event.detail.shouldSwap = false;
  event.detail.isError = false;
  if (unattended(requestConfig.triggeringEvent)) {
    offer();
    return;
  }
  logInAgain().then((done) => {
    if (done) window.htmx.ajax(requestConfig.verb, requestConfig.path, { source: requestConfig.elt, event: requestConfig.triggeringEvent, target });
  });
});
document.addEventListener("htmx:responseError", (event) => tell(words(event.detail.xhr)));
document.addEventListener("htmx:sendError", () => tell(document.documentElement.lang === "en"
  ? "The OIS does not answer; nothing was done. Try again in a moment."
  : "系统没有响应,未做任何更改。请稍后重试。"));
