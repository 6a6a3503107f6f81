// Marks the words of the last search in a page that was opened from its hits (address ends in #mark).

const wanted = location.hash === "#mark" ? (sessionStorage.getItem("ptcs-mark") ?? "").split(/\s+/).filter(Boolean) : [];

function pattern(words) {
  const safe = words.slice(0, 8).sort((one, two) => two.length - one.length).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(${safe.join("|")})`, "i");
}

function texts(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, {
    acceptNode: (node) => (node.parentElement.closest("script, style, textarea, select, button, mark, nav") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT),
  });
  const found = [];
  while (walker.nextNode()) found.push(walker.currentNode);
  return found;
}

function mark(node, words) {
  const parts = node.data.split(words);
  if (parts.length < 2) return;
  node.replaceWith(...parts.map((part, place) => {
    if (place % 2 === 0) return part;
    const made = document.createElement("mark");
    made.textContent = part;
    return made;
  }));
}

if (wanted.length) {
  const words = pattern(wanted);
  const main = document.querySelector("main");
  texts(main).forEach((node) => mark(node, words));
  main.querySelectorAll("input:not([type=hidden]), textarea").forEach((field) => field.classList.toggle("marked", words.test(field.value)));
  main.querySelector("mark, .marked")?.scrollIntoView({ block: "center" });
}
