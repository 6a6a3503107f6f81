// Log in again beside an open page: what stands in its fields stays, its forms get the new session's token,
// and what was asked for is asked for once more. Only the user whose page it is can log in here.
const plainFetch = window.fetch.bind(window);
let waiting = null;

export function over(status, header) {
  return status === 401 && header !== null;
}

function token() {
  return JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRF-Token"] ?? "";
}

function renew(fresh) {
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRF-Token": fresh }));
  document.querySelectorAll('input[name="csrf"]').forEach((field) => { field.value = fresh; });
}

async function send(form, alarm) {
  const body = new URLSearchParams(new FormData(form));
  body.set("page", token());
  const answer = await plainFetch("/login/again", { method: "POST", body });
  const said = await answer.json();
  if (answer.ok) return said.token;
  alarm.textContent = `✖ ${said.error}`;
  alarm.hidden = false;
  form.elements.namedItem("password").value = "";
  form.elements.namedItem("password").focus();
  return "";
}

async function ask() {
  const answer = await plainFetch("/login/again", { headers: { "X-CSRF-Token": token() } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const form = page.getElementById("again-form");
  // a page without an owner (a screen that was never logged in): only the log-in page helps
  if (!form?.elements.namedItem("user").value) {
    location.href = `/login?next=${encodeURIComponent(location.pathname)}`;
    return false;
  }
  const dialog = document.createElement("dialog");
  dialog.id = "again";
  dialog.setAttribute("aria-label", form.querySelector("h2").textContent);
  dialog.append(form);
  document.body.append(dialog);
  const before = document.activeElement;
  dialog.showModal();
  const done = await new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(false));
    form.querySelector("[value=cancel]").addEventListener("click", () => resolve(false));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const fresh = await send(form, form.querySelector("[role=alert]"));
      if (fresh) {
        renew(fresh);
        resolve(true);
      }
    });
  });
  dialog.remove();
  document.getElementById("told")?.remove();
  before?.focus?.();
  return done;
}

export function logInAgain() {
  waiting ??= ask().finally(() => { waiting = null; });
  return waiting;
}

// For what the page asked by itself: a line with a button, so that nobody is interrupted.
export function offer() {
  if (document.getElementById("told") || document.getElementById("again")) return;
  const chinese = document.documentElement.lang !== "en";
  const box = document.createElement("div");
  box.id = "told";
  box.className = "message warn";
  box.setAttribute("role", "alert");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = chinese ? "重新登录" : "Log in again";
  button.addEventListener("click", () => logInAgain());
  box.append(chinese ? "! 登录已过期,页面不再更新。已输入的内容不会丢失。 " : "! Your session is over: this page is no longer kept up to date. Nothing that you typed is lost. ", button);
  (document.getElementById("main") ?? document.body).prepend(box);
}

function renewed(options = {}) {
  const again = { ...options };
  if (again.body instanceof URLSearchParams || again.body instanceof FormData) {
    if (again.body.has("csrf")) again.body.set("csrf", token());
  }
  if (again.headers && "X-CSRF-Token" in again.headers) again.headers = { ...again.headers, "X-CSRF-Token": token() };
  // a time limit that ran meanwhile is no reason not to ask again
  delete again.signal;
  return again;
}

// Every script of a page that asks the OIS asks through this.
window.fetch = async (address, options) => {
  const answer = await plainFetch(address, options);
  if (!over(answer.status, answer.headers.get("X-PTCS-Log-In"))) return answer;
  return (await logInAgain()) ? plainFetch(address, renewed(options)) : answer;
};
