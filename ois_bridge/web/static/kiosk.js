// The keys of the kiosk, the scanner as a keyboard, and answers that go away by themselves.
const code = document.getElementById("code");
const way = document.getElementById("way");
const said = document.getElementById("said");
const SCAN_MS = 60;
let fast = 0;
let last = 0;
const LEFT_MS = 30000;
let closing = 0;
let leaving = 0;

function clear() {
  code.value = "";
  fast = 0;
  code.focus();
}

function close() {
  clearTimeout(closing);
  said.replaceChildren();
  clear();
}

// who goes away in the middle leaves no half of a number to the next one
function stays() {
  clearTimeout(leaving);
  leaving = setTimeout(() => { clear(); document.querySelector("details.letters").open = false; }, LEFT_MS);
}
for (const name of ["keydown", "pointerdown"]) document.addEventListener(name, stays, true);

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  if (!button) return;
  if (button.dataset.type && code.value.length < 64) { code.value += button.dataset.type; fast = 0; code.focus(); }
  if (button.dataset.act === "back") { code.value = code.value.slice(0, -1); code.focus(); }
  if (button.dataset.act === "clear") clear();
  if (button.dataset.act === "close") close();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
  if (event.key.length === 1) {
    if (said.childElementCount) close(); // the next patient scans already
    fast = event.timeStamp - last < SCAN_MS ? fast + 1 : 0;
    last = event.timeStamp;
  }
  if (document.activeElement !== code && event.key.length === 1) code.focus();
});

document.getElementById("form").addEventListener("submit", () => { way.value = fast >= 4 ? "barcode" : "touch"; }, true);
document.addEventListener("htmx:afterSwap", () => {
  const answer = said.querySelector(".answer");
  code.value = "";
  fast = 0;
  clearTimeout(closing);
  if (!answer) return;
  answer.querySelector("button")?.focus();
  closing = setTimeout(close, Number(answer.dataset.close) * 1000);
});
for (const name of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(name, () => {
    said.innerHTML = '<div class="answer bad" role="alertdialog" aria-labelledby="answer-title" data-close="12"><h2 id="answer-title">现在不能签到,请到服务台</h2><p lang="en">Signing in is not possible now. Please go to the front desk.</p><button type="button" data-act="close" class="go">好 OK</button></div>';
    closing = setTimeout(close, 12000);
  });
}
