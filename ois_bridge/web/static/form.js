// Nothing typed into a form is lost: what stands in the fields is kept in this tab until it is saved,
// and comes back after an expired session or a closed page. Other users' texts are dropped.
const form = document.querySelector("form[data-keep]");
const PREFIX = "ptcs-form:";

function typed() {
  const fields = [...new FormData(form)].filter(([name]) => !["csrf", "revision", "password", "act"].includes(name));
  return JSON.stringify(fields);
}

if (form) {
  const key = PREFIX + form.dataset.keep;
  const owner = PREFIX + form.dataset.keep.split(":")[0] + ":";
  for (const name of Object.keys(sessionStorage)) {
    if (name.startsWith(PREFIX) && !name.startsWith(owner)) sessionStorage.removeItem(name);
  }
  const kept = sessionStorage.getItem(key);
  if (kept && kept !== typed()) {
    for (const [name, value] of JSON.parse(kept)) {
      const field = form.elements.namedItem(name);
      if (field instanceof RadioNodeList) field.value = value;
      else if (field?.type === "radio") field.checked = field.value === value;
      else if (field) field.value = value;
    }
    form.querySelector(".restored").hidden = false;
  }
  form.addEventListener("input", () => sessionStorage.setItem(key, typed()));
}
