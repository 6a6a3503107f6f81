// The list of patients: the builder of rules, and the words that an opened form is to show marked.

const finder = document.querySelector(".finder");
const place = finder.querySelector("[data-rules]");
const { fields, operators } = JSON.parse(finder.dataset.builder);
const words = place.dataset;

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function choice(label, part, options, chosen) {
  const select = element("select", { ariaLabel: label });
  select.dataset.part = part;
  for (const [value, text] of Object.entries(options)) select.append(element("option", { value, textContent: text, selected: value === chosen }));
  return select;
}

function button(text, deed) {
  const made = element("button", { type: "button", textContent: text });
  made.addEventListener("click", deed);
  return made;
}

// the operators and the kind of value follow from the field
function fit(row, rule) {
  const field = fields[rule.field];
  const allowed = field.of === "form" ? { contains: operators.text.contains } : operators[field.kind];
  row.querySelector("[data-part=op]")?.remove();
  row.querySelector("[data-part=value]")?.remove();
  const operator = choice(words.operator, "op", allowed, rule.op);
  const value = field.choices
    ? choice(words.value, "value", field.choices, rule.value)
    : element("input", { type: field.kind === "date" ? "date" : "text", maxLength: 120, value: rule.value, ariaLabel: words.value });
  value.dataset.part = "value";
  row.querySelector("[data-part=field]").after(operator, value);
}

function ruleRow(rule) {
  const names = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.text]));
  const field = choice(words.field, "field", names, rule.field);
  const row = element("div", { className: "rule" }, field, button(words.remove, () => row.remove()));
  field.addEventListener("change", () => fit(row, { field: field.value, op: "", value: "" }));
  fit(row, rule);
  return row;
}

function groupBox(group, depth) {
  const match = choice(words.match, "match", { all: words.all, any: words.any }, group.match);
  const list = element("div", { className: "rule-list" });
  const add = (item) => list.append(item.rules ? groupBox(item, depth + 1) : ruleRow(item));
  const acts = element("div", { className: "rule-acts" },
    button("+ " + words.add, () => { add({ field: "diagnosis", op: "contains", value: "" }); list.lastChild.querySelector("select").focus(); }));
  const box = element("div", { className: "rule-group" }, element("div", { className: "rule-head" }, match), list, acts);
  if (depth === 0) acts.append(button("+ " + words.group, () => add({ match: "any", rules: [{ field: "diagnosis", op: "contains", value: "" }] })));
  else acts.append(button(words.remove, () => box.remove()));
  group.rules.forEach(add);
  return box;
}

function read(box) {
  const part = (row, name) => row.querySelector(`:scope > [data-part=${name}]`)?.value ?? "";
  return {
    match: box.querySelector(":scope > .rule-head > select").value,
    rules: [...box.querySelector(":scope > .rule-list").children].map((row) =>
      row.classList.contains("rule-group") ? read(row) : { field: part(row, "field"), op: part(row, "op"), value: part(row, "value") }),
  };
}

const hidden = finder.elements.namedItem("rules");
const box = groupBox(JSON.parse(hidden.value), 0);
place.append(box);
finder.addEventListener("submit", () => (hidden.value = JSON.stringify(read(box))));

// the words go to the form's page by the tab's own memory: an address is no place for them
document.addEventListener("click", (event) => {
  const hit = event.target.closest("[data-hit]");
  if (hit) sessionStorage.setItem("ptcs-mark", hit.closest("[data-words]").dataset.words);
});
