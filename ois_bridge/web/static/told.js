// What becomes of a partial update that was not done: the answer's own words stand above the page.
// An answer that is the log-in page (the session is over) is shown as a page, not inside a table.
function tell(text) {
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

document.addEventListener("htmx:beforeSwap", (event) => {
  document.getElementById("told")?.remove();
  if (new URL(event.detail.xhr.responseURL || location.href).pathname === "/login") {
    event.detail.shouldSwap = false;
    location.href = `/login?next=${encodeURIComponent(location.pathname)}`;
  }
});
document.addEventListener("htmx:responseError", (event) => tell(words(event.detail.xhr)));
document.addEventListener("htmx:sendError", () => tell(document.documentElement.lang === "en"
  ? "The OIS does not answer; nothing was done. Try again in a moment."
  : "系统没有响应,未做任何更改。请稍后重试。"));
