// The to-do list by keyboard: arrows move, Enter opens, A agrees, R refuses (asks for the reason), T takes.
// The keys work while a row of the list has the focus, so that typing elsewhere is never a verdict.
function links() {
  return [...document.querySelectorAll("#tasks .task-link")];
}

function choose(link) {
  document.querySelectorAll("#tasks tr.chosen").forEach((row) => row.classList.remove("chosen"));
  link.closest("tr").classList.add("chosen");
}

function move(link, step) {
  const all = links();
  const next = all[all.indexOf(link) + step];
  next?.focus();
}

// A key that comes before its panel waits for it: never a verdict on the task shown before.
let wanted = null;

function press(id) {
  const button = document.getElementById(id);
  if (id === "refuse-deed") {
    document.getElementById("comment")?.focus();
  } else if (id === "first-deed" && document.getElementById("password")?.value === "") {
    document.getElementById("password").focus();
  } else {
    button?.click();
  }
}

document.addEventListener("keydown", (event) => {
  const link = event.target.closest?.("#tasks .task-link");
  if (!link || event.ctrlKey || event.altKey || event.metaKey) return;
  const deeds = { a: "first-deed", r: "refuse-deed", t: "take-deed" };
  const key = event.key.toLowerCase();
  if (key === "arrowdown" || key === "arrowup") {
    move(link, key === "arrowdown" ? 1 : -1);
  } else if (deeds[key]) {
    const task = link.closest("tr").dataset.task;
    if (document.querySelector("#beside .panel")?.dataset.key === task) press(deeds[key]);
    else {
      wanted = { task, id: deeds[key] };
      link.click();
    }
  } else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#tasks .task-link");
  if (link) choose(link);
});

document.addEventListener("htmx:afterSwap", (event) => {
  const beside = document.getElementById("beside");
  const shown = beside?.querySelector(".panel")?.dataset.key;
  if (event.detail.target.id === "beside") {
    if (wanted?.task === shown) press(wanted.id);
    wanted = null;
    if (matchMedia("(max-width: 1000px)").matches) beside.scrollIntoView();
    return;
  }
  // the list is new: keep the chosen row, or empty the panel of a task that is gone
  const link = links().find((one) => one.closest("tr").dataset.task === shown);
  if (link) choose(link);
  else if (shown && event.detail.requestConfig?.verb === "post") {
    beside.replaceChildren();
    links()[0]?.focus();
  }
});
