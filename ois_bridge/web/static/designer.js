// The designer of forms: the design lives in the fields of the page and is gathered as JSON when it is sent.
const place = document.getElementById("sections");
const may = document.getElementById("designer").dataset.may === "yes";
const data = JSON.parse(document.getElementById("design-data").textContent);
const make = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);
const part = (box, key) => box.querySelector(`[data-key=${key}]`);

function fit(box) {
  const kind = part(box, "kind").value;
  box.querySelectorAll("[data-for]").forEach((one) => { one.hidden = one.dataset.for !== kind; });
}

function addField(section, field) {
  const box = make("t-field");
  const values = { name: field.name, en: field.label?.en, zh: field.label?.zh, kind: field.kind, unit: field.unit, low: field.low, high: field.high };
  for (const [key, value] of Object.entries(values)) part(box, key).value = value ?? "";
  part(box, "required").checked = field.required === true;
  part(box, "choices").value = (field.choices ?? []).map((one) => [one.code, one.en, one.zh].join(" = ")).join("\n");
  section.querySelector(".section-fields").append(box);
  fit(box);
  return box;
}

function addSection(row) {
  const box = make("t-section");
  part(box, "en").value = row.title.en ?? "";
  part(box, "zh").value = row.title.zh ?? "";
  place.append(box);
  row.fields.forEach((field) => addField(box, field));
  return box;
}

const number = (text) => (text.trim() === "" ? null : Number(text));

function fieldOf(box) {
  const value = (key) => part(box, key).value.trim();
  const field = { name: value("name"), kind: value("kind"), label: { en: value("en"), zh: value("zh") }, required: part(box, "required").checked };
  if (field.kind === "number") Object.assign(field, { unit: value("unit"), low: number(value("low")), high: number(value("high")) });
  if (field.kind === "choice") {
    field.choices = value("choices").split("\n").filter((line) => line.trim()).map((line) => {
      const [code, en, zh] = line.split("=").map((text) => text.trim());
      return { code, en: en ?? code, zh: zh ?? "" };
    });
  }
  return field;
}

function design() {
  const text = (id) => document.getElementById(id).value.trim();
  return {
    kind: text("d-kind"),
    title: { en: text("d-en"), zh: text("d-zh") },
    sections: [...place.children].map((box) => ({
      title: { en: part(box, "en").value.trim(), zh: part(box, "zh").value.trim() },
      fields: [...box.querySelectorAll(".design-field")].map(fieldOf),
    })),
  };
}

place.addEventListener("change", (event) => {
  if (event.target.dataset.key === "kind") fit(event.target.closest(".design-field"));
});

place.addEventListener("click", (event) => {
  const act = event.target.dataset?.act;
  if (!act) return;
  const field = event.target.closest(".design-field");
  const section = event.target.closest(".section");
  if (act === "add") part(addField(section, { name: "", kind: "text" }), "name").focus();
  else if (act === "drop") section.remove();
  else if (act === "remove") field.remove();
  else {
    if (act === "up") field.previousElementSibling?.before(field);
    else field.nextElementSibling?.after(field);
    event.target.focus();
  }
});

data.sections.forEach(addSection);
document.getElementById("add-section")?.addEventListener("click", () => {
  part(addSection({ title: {}, fields: [] }), "en").focus();
});
if (!may) document.querySelectorAll("#designer input, #designer select, #designer textarea, #designer button").forEach((one) => { one.disabled = true; });

document.getElementById("publish")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(event.target, event.submitter));
  body.set("design", JSON.stringify(design()));
  const answer = await fetch(event.target.action, { method: "POST", body });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const target = document.getElementById("preview");
  target.replaceChildren(...(answer.ok ? page.body.childNodes : [page.querySelector("main") ?? page.body]));
});
