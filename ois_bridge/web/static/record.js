// The patient's record: which sections are folded is remembered in this browser (names of sections, no patient
// data), and a link to a folded section or row opens it.
const PREFIX = "ptcs-part-";

function fold(root) {
  for (const part of root.querySelectorAll("details[data-part]")) {
    if (!part.dataset.part.includes("lane-") && localStorage.getItem(PREFIX + part.dataset.part) === "closed") {
      part.open = false;
    }
    part.addEventListener("toggle", () => {
      if (!part.dataset.part.includes("lane-")) {
        localStorage.setItem(PREFIX + part.dataset.part, part.open ? "open" : "closed");
      }
    });
  }
}

function reveal() {
  const wanted = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
  if (!wanted) {
    return;
  }
  for (let node = wanted; node; node = node.parentElement) {
    if (node.tagName === "DETAILS") {
      node.open = true;
    }
  }
  const own = wanted.querySelector(":scope > details[data-part]");
  if (own) {
    own.open = true;
  }
  wanted.scrollIntoView({ block: "start" });
  if (wanted.tabIndex === -1 && wanted.hasAttribute("tabindex")) {
    wanted.focus({ preventScroll: true });
  }
}

// a refresh of the time line keeps open what was open
let open = new Set();
document.addEventListener("htmx:beforeSwap", (event) => {
  open = new Set([...event.target.querySelectorAll("details[open][data-part]")].map((part) => part.dataset.part));
});
document.addEventListener("htmx:afterSwap", (event) => {
  for (const part of event.target.querySelectorAll("details[data-part]")) {
    part.open = part.open || open.has(part.dataset.part);
  }
});

// the page comes at the place that was worked on: what became of the work is shown there for a while
const said = document.querySelector("main > .message.good");
if (said && location.hash) {
  said.classList.add("floating");
  setTimeout(() => said.classList.remove("floating"), 8000);
}

fold(document);
reveal();
window.addEventListener("hashchange", reveal);
