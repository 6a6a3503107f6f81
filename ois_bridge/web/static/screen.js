// A screen that goes on by itself: it asks anew after each event, every half minute, and after the OIS
// was away; new calls are shown with movement and said once.
const AGAIN_MS = 30000;
const voice = document.body.dataset.voice;
const said = new Set();
const line = [];
let speaking = false;
let audio = null;
let first = true;
let asking = false;
let askAgain = false;

function offline(is) { document.querySelector(".offline").hidden = !is; }

async function refresh() {
  if (asking) { askAgain = true; return; }
  asking = true;
  try {
    const answer = await fetch("/screen/board", { redirect: "manual", signal: AbortSignal.timeout(10000) });
    if (answer.type === "opaqueredirect" || answer.status === 401) { location.href = "/screen"; return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    show(page.getElementById("board"));
    offline(false);
  } catch {
    offline(true);
  } finally {
    asking = false;
    if (askAgain) { askAgain = false; refresh(); }
  }
}

function show(fresh) {
  const ticker = document.querySelector(".ticker");
  const newTicker = fresh.querySelector(".ticker");
  // the same notices go on where they are
  if (ticker && newTicker && ticker.textContent === newTicker.textContent) newTicker.replaceWith(ticker);
  const pictures = document.querySelector(".pictures");
  const newPictures = fresh.querySelector(".pictures");
  if (pictures && newPictures && addresses(pictures) === addresses(newPictures)) newPictures.replaceWith(pictures);
  document.getElementById("board").replaceWith(fresh);
  look(fresh);
}

function addresses(pictures) { return [...pictures.children].map((one) => one.src).join(" "); }

// the next picture when the time of the one before is over; a board without pictures waits
function turn() {
  const now = document.querySelector(".pictures .now");
  const next = now && (now.nextElementSibling ?? now.parentElement.firstElementChild);
  if (next && next !== now && now.parentElement.offsetParent) {
    now.classList.remove("now");
    next.classList.add("now");
  }
  setTimeout(turn, 1000 * Number((next ?? now)?.dataset.seconds || 5));
}
setTimeout(turn, 1000 * Number(document.querySelector(".pictures .now")?.dataset.seconds || 5));

function look(board) {
  for (const call of board.querySelectorAll("[data-call]")) {
    const key = call.dataset.call;
    if (said.has(key)) continue;
    said.add(key);
    if (first) continue; // what was called before this page began is not said again
    call.classList.add("new");
    if (audio) { line.push(key); speak(); }
  }
  first = false;
}

async function speak() {
  if (speaking || line.length === 0) return;
  speaking = true;
  const key = line.shift();
  try {
    const answer = await fetch(`/screen/calls/${key}.wav`);
    if (answer.ok) {
      if (answer.headers.get("X-Voice") === "none") noVoice();
      const sound = await audio.decodeAudioData(await answer.arrayBuffer());
      await new Promise((done) => {
        const source = audio.createBufferSource();
        source.buffer = sound;
        source.connect(audio.destination);
        source.onended = done;
        source.start();
      });
      document.body.dataset.spoken = key;
    }
  } catch { /* the call stands on the screen; the next one is tried again */ }
  speaking = false;
  speak();
}

function noVoice() {
  const box = document.querySelector(".offline");
  box.textContent = "⚠ 本机未安装语音 (espeak-ng) · no voice on the server: install espeak-ng";
  box.hidden = false;
}

function startVoice() {
  audio = new AudioContext();
  audio.resume();
  document.getElementById("voice-on")?.remove();
}

function listen() {
  const source = new EventSource("/screen/live");
  source.onopen = refresh;
  source.onerror = () => {
    offline(true);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
  for (const topic of ["queue", "screens"]) source.addEventListener(topic, refresh);
}

function tick() {
  const now = new Date();
  const two = (n) => String(n).padStart(2, "0");
  document.getElementById("clock").textContent = `${two(now.getHours())}:${two(now.getMinutes())}`;
}

if (voice) {
  document.getElementById("voice-on").addEventListener("click", startVoice);
  // a browser that was started as a kiosk may play at once
  const probe = new AudioContext();
  if (probe.state === "running") startVoice();
  probe.close();
}
look(document.getElementById("board"));
listen();
setInterval(refresh, AGAIN_MS);
setInterval(tick, 1000);
