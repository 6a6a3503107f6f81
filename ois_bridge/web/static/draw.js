// The drawing of a process: bpmn-js draws, the panel beside edits what a step, a lane or an arrow says.
// What the department adds to BPMN stands in the namespace ptcs (services/workflow/drawing.py).
const PTCS = {
  name: "PTCS", prefix: "ptcs", uri: "http://ptcs.org/bpmn", xml: { tagAlias: "lowerCase" }, associations: [],
  types: [
    { name: "Step", extends: ["bpmn:UserTask"], properties: ["deed", "form", "role", "dueHours", "assign", "sign", "otherThan", "sameAs", "outcomes", "doneOn"].map((name) => ({ name, isAttr: true, type: "String" })) },
    { name: "Start", extends: ["bpmn:StartEvent"], properties: ["begins", "when"].map((name) => ({ name, isAttr: true, type: "String" })) },
    { name: "Named", extends: ["bpmn:FlowElement", "bpmn:Lane", "bpmn:Participant"], properties: [{ name: "zh", isAttr: true, type: "String" }] },
    { name: "Lane", extends: ["bpmn:Lane"], properties: [{ name: "role", isAttr: true, type: "String" }] },
    { name: "Process", extends: ["bpmn:Process"], properties: [{ name: "zh", isAttr: true, type: "String" }] },
  ],
};
const ZH = {
  "Append end event": "追加结束", "Append task": "追加步骤", "Append gateway": "追加网关", "Append user task": "追加步骤", "Change element": "更改类型", "Change type": "更改类型",
  "Connect using sequence/message flow or association": "连线", "Connect to other element": "连线", "Delete": "删除", "Remove": "删除", "Activate hand tool": "移动画布", "Activate lasso tool": "框选",
  "Activate create/remove space tool": "增减空间", "Activate global connect tool": "连线", "Create start event": "开始", "Create end event": "结束", "Create gateway": "网关",
  "Create task": "步骤", "Create user task": "步骤", "Create pool/participant": "泳池", "User task": "步骤", "Exclusive gateway": "排他网关", "Parallel gateway": "并行网关",
  "End event": "结束", "Start event": "开始", "Task": "步骤", "Add text annotation": "注释", "Divide into two lanes": "分为两个泳道", "Add lane above": "上方加泳道", "Add lane below": "下方加泳道",
};
const chinese = document.documentElement.lang.startsWith("zh");
const canvas = document.getElementById("canvas");
const translate = { translate: ["value", (text, values = {}) => ((chinese && ZH[text]) || text).replace(/{([^}]+)}/g, (_all, key) => values[key] ?? `{${key}}`)] };
// "Immobilisation" fits into a step at this size
const textRenderer = { defaultStyle: { fontSize: 11 }, externalStyle: { fontSize: 11 } };
const modeler = new window.BpmnJS({ container: canvas, textRenderer, moddleExtensions: { ptcs: PTCS }, additionalModules: [translate] });
const fields = document.getElementById("fields");
const inputs = [...fields.querySelectorAll("[data-name]")];
const may = canvas.dataset.may === "yes";
let chosen = null;

const kindOf = (element) => ({ "bpmn:UserTask": "step", "bpmn:Lane": "lane", "bpmn:SequenceFlow": "flow", "bpmn:StartEvent": "start" }[element?.type] ?? "");

function read(thing, name) {
  if (name === "condition") return thing.conditionExpression?.body ?? "";
  if (name === "default") return thing.sourceRef?.default === thing ? "true" : "";
  return thing.get(name) ?? "";
}

// Who reads Chinese draws in Chinese: what has both names changes them for the time on the screen, and back before it is kept.
function exchanged(xml) {
  if (!chinese) return xml;
  const tree = new DOMParser().parseFromString(xml, "application/xml");
  for (const one of tree.querySelectorAll("[name]")) {
    const [shown, other] = [one.getAttribute("name"), one.getAttributeNS(PTCS.uri, "zh")];
    if (!shown || !other) continue;
    one.setAttribute("name", other);
    one.setAttributeNS(PTCS.uri, "ptcs:zh", shown);
  }
  return new XMLSerializer().serializeToString(tree);
}

function steps() {
  return modeler.get("elementRegistry").filter((one) => one.type === "bpmn:UserTask").map((one) => one.businessObject);
}

function show(element) {
  const kind = kindOf(element);
  chosen = kind ? element : null;
  fields.hidden = !chosen;
  document.getElementById("nothing").hidden = Boolean(chosen);
  if (!chosen) return;
  fields.querySelectorAll("[data-for]").forEach((one) => { one.hidden = !one.dataset.for.split(" ").includes(kind); });
  for (const input of inputs) {
    if (input.dataset.steps) {
      const others = steps().filter((one) => one !== element.businessObject);
      input.replaceChildren(new Option("", ""), ...others.map((one) => new Option(one.name, one.id)));
    }
    if (!input.closest("[data-for]").hidden) input.value = read(element.businessObject, input.dataset.name);
    input.disabled = !may;
  }
}

function write(input) {
  const modeling = modeler.get("modeling");
  const thing = chosen.businessObject;
  const value = input.value.trim();
  if (input.dataset.name === "condition") {
    const body = value ? modeler.get("moddle").create("bpmn:FormalExpression", { body: value }) : undefined;
    modeling.updateProperties(chosen, { conditionExpression: body });
  } else if (input.dataset.name === "default") {
    const source = modeler.get("elementRegistry").get(thing.sourceRef.id);
    modeling.updateProperties(source, { default: value ? thing : undefined });
  } else {
    modeling.updateProperties(chosen, { [input.dataset.name]: value || undefined });
  }
}

inputs.forEach((input) => input.addEventListener("change", () => chosen && write(input)));
modeler.on("selection.changed", ({ newSelection }) => show(newSelection.length === 1 ? newSelection[0] : null));
// a plain task is not used in the department's processes: what is drawn as one is a step of a person
modeler.on("shape.added", ({ element }) => {
  if (element.type === "bpmn:Task" && may) setTimeout(() => modeler.get("bpmnReplace").replaceElement(element, { type: "bpmn:UserTask" }));
});

const source = await fetch(canvas.dataset.source);
await modeler.importXML(exchanged(await source.text()));
// a course is long: it begins at a size that can be read, beside the palette, unless all of it fits
const view = modeler.get("canvas");
if (view.zoom("fit-viewport") < 0.6) {
  const { outer } = view.viewbox();
  view.viewbox({ x: -170, y: -40, width: outer.width / 0.65, height: outer.height / 0.65 });
}
document.body.dataset.drawn = "yes";

document.getElementById("publish")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(event.target, event.submitter));
  body.set("drawing", exchanged((await modeler.saveXML({ format: true })).xml));
  const answer = await fetch(event.target.action, { method: "POST", body });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("verdict").replaceChildren(...(answer.ok ? page.body.childNodes : [page.querySelector("main") ?? page.body]));
});
