// The appointment sheet: click or press Enter to book, drag or pick up to move. Every change is the server's:
// a card is only drawn at its new time after the server has said yes.
const region = document.getElementById("sheet");
const told = document.getElementById("sheet-told");
const status = document.getElementById("sheet-status");
const dialog = document.getElementById("sheet-dialog");
const body = document.getElementById("sheet-dialog-body");
const FRAGMENT = { "X-Fragment": "1" };
let held = null;

function token() {
  return JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRF-Token"] ?? "";
}

async function ask(address, options = {}) {
  try {
    const answer = await fetch(address, { ...options, headers: { ...FRAGMENT, "X-CSRF-Token": token() } });
    if (new URL(answer.url).pathname === "/login") location.href = `/login?next=${encodeURIComponent(location.pathname)}`;
    return answer;
  } catch {
    tell(region.dataset.offline);
    return null;
  }
}

function tell(text) {
  told.textContent = text ? `✖ ${text}` : "";
}

function say(text) {
  status.textContent = text;
}

const table = () => region.querySelector("table.sheet");
const heads = () => [...table().querySelectorAll("th.device")];
const slot = () => Number(table().dataset.slot);
const two = (number) => String(number).padStart(2, "0");

function when(head, minute) {
  const day = new Date(`${head.dataset.day}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() + Math.floor(minute / 1440));
  return `${day.toISOString().slice(0, 10)}T${two(Math.floor((minute % 1440) / 60))}:${two(minute % 60)}`;
}

function rowOf(cell) {
  return Number(cell.parentElement.dataset.m);
}

function placeAt(cell, y) {
  // a cell that spans rows: how many slots below its top the pointer is
  const box = cell.getBoundingClientRect();
  const slots = Math.max(0, Math.min(cell.rowSpan - 1, Math.floor(((y - box.top) / box.height) * cell.rowSpan)));
  return { head: heads()[Number(cell.dataset.c)], minute: rowOf(cell) + slots * slot() };
}

async function refresh(focusKey) {
  const { scrollTop, scrollLeft } = region;
  const answer = await ask(location.href);
  if (!answer?.ok) return;
  region.innerHTML = await answer.text();
  region.scrollTo(scrollLeft, scrollTop);
  ready();
  if (focusKey) region.querySelector(`[data-key="${focusKey}"]`)?.focus();
}

async function move(key, revision, place) {
  tell("");
  const form = new URLSearchParams({ device: place.head.dataset.device, start: when(place.head, place.minute), revision });
  const answer = await ask(`/appointments/${key}/move`, { method: "POST", body: form });
  if (!answer) return;
  if (answer.status === 204) {
    await refresh(key);
    say(region.dataset.moved);
  } else {
    tell(reason(await answer.text()));
    await refresh(key);
  }
}

function reason(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const words = page.querySelector("[role=alert], main p")?.textContent ?? "";
  return words.replace("✖", "").trim();
}

async function open(address) {
  const answer = await ask(address);
  if (answer) fill(await answer.text());
}

function fill(html) {
  if (/^\s*<!doctype/i.test(html)) {
    // a whole page is no dialog's content: a refusal, or an error that the server tells
    dialog.close();
    tell(reason(html));
    return;
  }
  body.innerHTML = html;
  window.htmx?.process(body);
  if (!dialog.open) dialog.showModal();
  body.querySelector("[autofocus]")?.focus();
}

function book(head, minute) {
  if (table().dataset.mayMove) open(`/appointments/new?device=${head.dataset.device}&start=${when(head, minute)}`);
}

region.addEventListener("click", (event) => {
  const card = event.target.closest("a.visit");
  const cell = event.target.closest("td.free");
  if (card && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    open(card.href);
  } else if (cell) {
    book(heads()[Number(cell.dataset.c)], rowOf(cell));
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-dialog]");
  if (link && dialog) {
    event.preventDefault();
    open(link.href);
  }
});

body.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-fragment")) return;
  event.preventDefault();
  const answer = await ask(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (!answer) return;
  if (answer.status === 204) {
    dialog.close();
    tell("");
    await refresh();
  } else {
    fill(await answer.text());
  }
});

// Dragging. The grabbed point stays under the pointer.
region.addEventListener("dragstart", (event) => {
  const card = event.target.closest("a.visit[draggable]");
  if (!card) return;
  const box = card.getBoundingClientRect();
  const cell = card.closest("td");
  const slots = Math.floor((event.clientY - box.top) / (box.height / cell.rowSpan));
  held = { key: card.dataset.key, revision: card.dataset.revision, grabbed: Math.max(0, slots) };
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", card.dataset.key);
});
region.addEventListener("dragover", (event) => {
  const cell = event.target.closest("td[data-c]");
  if (!held || !cell) return;
  event.preventDefault();
  region.querySelectorAll("td.over").forEach((other) => other.classList.remove("over"));
  cell.classList.add("over");
});
region.addEventListener("dragend", () => {
  held = null;
  region.querySelectorAll("td.over").forEach((other) => other.classList.remove("over"));
});
region.addEventListener("drop", (event) => {
  const cell = event.target.closest("td[data-c]");
  if (!held || !cell) return;
  event.preventDefault();
  const place = placeAt(cell, event.clientY);
  place.minute -= held.grabbed * slot();
  const { key, revision } = held;
  held = null;
  move(key, revision, place);
});

// The keyboard: arrows walk through cells, M picks a card up and puts it down.
function cellAt(column, minute) {
  const rows = [...table().tBodies[0].rows];
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    const from = Number(rows[index].dataset.m);
    if (from > minute) continue;
    const cell = rows[index].querySelector(`td[data-c="${column}"]`);
    if (cell) return from + cell.rowSpan * slot() > minute ? cell : null;
  }
  return null;
}

function go(cell, key) {
  const column = Number(cell.dataset.c);
  const minute = rowOf(cell);
  const steps = {
    ArrowDown: [column, minute + cell.rowSpan * slot()],
    ArrowUp: [column, minute - slot()],
    ArrowRight: [column + 1, minute],
    ArrowLeft: [column - 1, minute],
    PageDown: [column, minute + 60],
    PageUp: [column, minute - 60],
  };
  const next = cellAt(...steps[key]);
  if (next) focusCell(next);
}

function focusCell(cell) {
  region.querySelectorAll('td[tabindex="0"]').forEach((other) => { other.tabIndex = -1; });
  cell.tabIndex = 0;
  (cell.querySelector("a.visit") ?? cell).focus();
}

function pick(card) {
  held = { key: card.dataset.key, revision: card.dataset.revision, grabbed: 0 };
  region.querySelectorAll(".picked").forEach((other) => other.classList.remove("picked"));
  card.classList.add("picked");
  say(region.dataset.picked);
}

region.addEventListener("keydown", (event) => {
  const cell = event.target.closest("td[data-c]");
  if (!cell) {
    if (event.target === region && event.key === "ArrowDown") { event.preventDefault(); focusCell(table().tBodies[0].querySelector('td[tabindex="0"], td.free, td')); }
    return;
  }
  const card = event.target.closest("a.visit") ?? cell.querySelector("a.visit");
  if (event.key.startsWith("Arrow") || event.key.startsWith("Page")) {
    event.preventDefault();
    go(cell, event.key);
  } else if (event.key === "Enter" && !card) {
    book(heads()[Number(cell.dataset.c)], rowOf(cell));
  } else if (event.key.toLowerCase() === "m" && held) {
    event.preventDefault();
    const { key, revision } = held;
    held = null;
    move(key, revision, { head: heads()[Number(cell.dataset.c)], minute: rowOf(cell) });
  } else if (event.key.toLowerCase() === "m" && card?.hasAttribute("draggable")) {
    event.preventDefault();
    pick(card);
  } else if (event.key === "Escape" && held) {
    held = null;
    region.querySelectorAll(".picked").forEach((other) => other.classList.remove("picked"));
    say(region.dataset.letGo);
  }
});

function ready() {
  const first = table()?.tBodies[0].querySelector("td.free");
  if (first && !region.querySelector('td[tabindex="0"]')) first.tabIndex = 0;
  drawn = Date.now();
  markNow();
}

// A line at this moment, by the server's clock; at first the sheet is scrolled to it.
let drawn = Date.now();
function markNow() {
  const begin = Number(table()?.dataset.now ?? NaN);
  const minute = begin + Math.floor((Date.now() - drawn) / 60000);
  region.querySelector("tr.now")?.classList.remove("now");
  const row = region.querySelector(`tr[data-m="${minute - (minute % slot())}"]`);
  row?.classList.add("now");
  return row;
}
setInterval(markNow, 30000);

document.querySelector(".choose")?.classList.add("auto");
document.querySelectorAll(".choose select, .choose input").forEach((field) => {
  field.addEventListener("change", () => { if (field.form.reportValidity()) field.form.requestSubmit(); });
});
document.body.addEventListener("live:appointments", () => { if (!held && !dialog.open) refresh(document.activeElement?.dataset?.key); });
ready();
const present = region.querySelector("tr.now");
if (present) region.scrollTop = present.offsetTop - region.clientHeight / 3;
