// The registration form: camera and picture files, what an id card says, and data of the hospital's system.

const SIDE = 480;
const form = document.querySelector("form.registration");
const field = (name) => form.elements.namedItem(name);

function fill(name, value, over) {
  const target = field(name);
  if (!target || !value || (target.value && !over && name !== "source")) return;
  target.value = value;
  (target instanceof RadioNodeList ? target[0] : target).dispatchEvent(new Event("input", { bubbles: true }));
}

function say(place, text, kind) {
  place.textContent = text;
  place.classList.toggle("bad", kind === "bad");
  place.classList.toggle("good", kind === "good");
}

// --- photo
const portrait = document.querySelector("[data-portrait]");
const part = (selector) => portrait.querySelector(selector);
const live = part("video"), shown = part("img"), said = part("[data-said]");
let camera = null;

function keep(source, width, height) {
  const side = Math.min(width, height), size = Math.min(SIDE, side);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  canvas.getContext("2d").drawImage(source, (width - side) / 2, (height - side) / 2, side, side, 0, 0, size, size);
  field("photo").value = shown.src = canvas.toDataURL("image/jpeg", 0.88);
  shown.hidden = part("[data-forget]").hidden = false;
  say(said, "", "");
}

function stop() {
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  live.hidden = part("[data-shoot]").hidden = true;
}

part("[data-camera]").addEventListener("click", async () => {
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: false });
    live.srcObject = camera;
    await live.play();
    live.hidden = part("[data-shoot]").hidden = false;
    shown.hidden = true;
    part("[data-shoot]").focus();
    say(said, "", "");
  } catch {
    stop();
    say(said, portrait.dataset.noCamera, "bad");
  }
});
part("[data-shoot]").addEventListener("click", () => {
  keep(live, live.videoWidth, live.videoHeight);
  stop();
  document.querySelector("#id_card").focus();
});
part("[data-forget]").addEventListener("click", () => {
  field("photo").value = "";
  shown.removeAttribute("src");
  shown.hidden = part("[data-forget]").hidden = true;
});
part("input[type=file]").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  try {
    if (file.size > Number(portrait.dataset.most)) throw new RangeError("too big");
    const picture = await createImageBitmap(file);
    keep(picture, picture.width, picture.height);
  } catch {
    say(said, portrait.dataset.noPicture, "bad");
  }
  event.target.value = "";
});
window.addEventListener("pagehide", stop);

// --- id card (GB 11643): birth date and sex follow from it; the server checks again
const card = document.querySelector("#id_card"), cardHint = document.querySelector("#id_card-hint");
const hintText = cardHint.textContent;

function fits(number) {
  let sum = 0;
  for (let place = 0; place < 17; place++) sum += Number(number[place]) * (2 ** (17 - place) % 11);
  return "10X98765432"[sum % 11] === number[17];
}

function readCard() {
  const number = card.value.replace(/\s/g, "").toUpperCase();
  if (!/^\d{17}[\dX]$/.test(number)) return say(cardHint, hintText, "");
  if (!fits(number)) return say(cardHint, "✖ " + card.dataset.wrong, "bad");
  fill("birth_date", `${number.slice(6, 10)}-${number.slice(10, 12)}-${number.slice(12, 14)}`, true);
  fill("sex", Number(number[16]) % 2 ? "M" : "F", true);
  say(cardHint, "✔ " + card.dataset.fits, "good");
}

card.addEventListener("input", readCard);
// what the server refused is marked where it stands
const written = card.value.trim().toUpperCase();
if (/^\d{17}[\dX]$/.test(written) && !fits(written)) readCard();

// --- data of the hospital's system: asked once per number, and only empty fields are filled
const his = document.querySelector("[data-his]");
let asked = "";

async function ask() {
  const number = field("hospital_number").value.trim(), idCard = card.value.trim();
  if ((!number && !(/^\d{17}[\dXx]$/.test(idCard) && fits(idCard.toUpperCase()))) || asked === number + "|" + idCard) return;
  asked = number + "|" + idCard;
  say(his, his.dataset.asking, "");
  try {
    const body = new URLSearchParams({ csrf: field("csrf").value, hospital_number: number, id_card: idCard });
    const answer = await fetch(his.dataset.his, { method: "POST", body, signal: AbortSignal.timeout(3000) });
    if (!answer.ok) throw new Error("refused");
    const told = await answer.json();
    say(his, (told.well ? "✔ " : "! ") + told.said, told.well ? "good" : "bad");
    for (const [name, value] of Object.entries(told.found ?? {})) fill(name, value, false);
  } catch {
    say(his, "! " + his.dataset.silent, "bad");
  }
}

if (his) {
  field("hospital_number").addEventListener("change", ask);
  card.addEventListener("change", ask);
}

// --- who types before this script runs loses nothing: what was typed is read, and the browser, which moves to
// the first field only when it first draws the page, is not waited for
if (document.activeElement === document.body && card.autofocus) card.focus();
if (card.value !== card.defaultValue) {
  readCard();
  if (his && document.activeElement !== card) ask();
}

// --- one form, one patient: the second click of a double click does nothing
let sent = false;
form.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
window.addEventListener("pageshow", () => (sent = false));
