// One key for each step, and a scanner that may type from anywhere on the page.
// A scanner types fast: a letter is a step only when no other key follows at once, and a fast run of
// characters that ends with Enter is a scan.
const ALONE_MS = 220;
const SCAN_MS = 150;
const keys = document.getElementById("keys");
let typed = "";
let last = 0;
let waiting = 0;

if (keys) {
  keys.checked = localStorage.getItem("queue-keys") !== "off";
  keys.addEventListener("change", () => localStorage.setItem("queue-keys", keys.checked ? "on" : "off"));
}

function inField(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
    && target.type !== "checkbox";
}

function press(letter) {
  if (!keys?.checked) return;
  document.querySelector(`[data-key="${letter}"]`)?.click();
}

function scanned(text) {
  const code = document.getElementById("code");
  if (!code) return;
  code.value = text;
  code.form.requestSubmit();
}

document.addEventListener("keydown", (event) => {
  if (inField(event.target) || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  clearTimeout(waiting);
  if (event.timeStamp - last > SCAN_MS) typed = "";
  last = event.timeStamp;
  if (event.key === "Enter" && typed.length >= 4) {
    event.preventDefault();
    scanned(typed);
    typed = "";
  } else if (event.key.length === 1) {
    typed += event.key;
    const letter = event.key.toLowerCase();
    if (typed.length === 1 && !event.repeat) waiting = setTimeout(() => press(letter), ALONE_MS);
  }
});

// the list is replaced while it is used: keep what was typed, and the focus where it was
let kept = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id !== "queue") return;
  const field = document.activeElement;
  const own = event.detail.requestConfig.verb === "post";
  kept = { id: field?.id ?? "", code: own ? "" : document.getElementById("code")?.value ?? "" };
});
document.addEventListener("htmx:afterSwap", () => {
  if (!kept) return;
  const code = document.getElementById("code");
  if (code && kept.code) code.value = kept.code;
  if (kept.id) document.getElementById(kept.id)?.focus();
  kept = null;
});
// an open menu of a patient is not taken away by news of others
document.addEventListener("htmx:beforeRequest", (event) => {
  const live = event.detail.requestConfig?.triggeringEvent?.type?.startsWith("live:");
  if (live && document.querySelector("#queue details.more[open]")) event.preventDefault();
});
