// A text that does not fit is never cut silently: what is pasted whole or not at all, and what is too long
// to be sent stays in its field. The reader is told how long it is and what fits.
import { tell } from "/static/told.js";

const MOST = 1024 * 1024; // bytes of one field that the OIS takes (web/session.py)
const english = document.documentElement.lang === "en";
const count = (number) => number.toLocaleString("en-US").replaceAll(",", "\u202f");

function named(field) {
  return field.labels?.[0]?.textContent.trim() || field.getAttribute("aria-label") || field.name;
}

function pasted(event) {
  const field = event.target;
  const whole = event.clipboardData?.getData("text/plain") ?? event.dataTransfer?.getData("text/plain") ?? "";
  // as the field would take it: line ends count once, and not at all in a field of one line
  const text = whole.replaceAll(/\r\n?|\n/g, field.tagName === "TEXTAREA" ? "\n" : "").trimEnd();
  if (!text || !(field.maxLength > 0) || field.readOnly || field.disabled) return;
  const kept = field.value.length - (event.type === "paste" ? field.selectionEnd - field.selectionStart : 0);
  if (kept + text.length <= field.maxLength) return;
  event.preventDefault();
  tell(english
    ? `${named(field)}: the text has ${count(text.length)} characters and would be cut. The field takes ${count(field.maxLength)}, ${count(kept)} stand in it. Nothing was pasted.`
    : `${named(field)}:粘贴的文字有 ${count(text.length)} 个字符,会被截断。此栏最多 ${count(field.maxLength)} 个,已有 ${count(kept)} 个。未粘贴任何内容。`);
  document.getElementById("told")?.scrollIntoView({ block: "nearest" });
}

function tooLong(form) {
  const encoder = new TextEncoder();
  for (const field of form.elements) {
    // most fields are short: only a long one is counted in bytes of its coding (%E4%BD%A0)
    if (!field.name || !(field.value?.length > MOST / 9)) continue;
    const coded = new URLSearchParams([[field.name, field.value]]).toString().length;
    if (Math.max(coded, encoder.encode(field.value).length) > MOST) return field;
  }
  return null;
}

function refuse(event, form) {
  const field = form ? tooLong(form) : null;
  if (!field) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  tell(english
    ? `${named(field)}: ${count(field.value.length)} characters are too long to be sent (1 MB at most). Nothing was sent, and everything typed stands here still: shorten it.`
    : `${named(field)}：${count(field.value.length)} 个字符太长，无法提交（最多 1 MB）。没有提交任何内容，已输入的仍在此页：请缩短后再提交。`);
  document.getElementById("told")?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("paste", pasted, true);
document.addEventListener("drop", pasted, true);
document.addEventListener("submit", (event) => refuse(event, event.target), true);
document.addEventListener("htmx:confirm", (event) => refuse(event, event.target.closest?.("form")), true);
