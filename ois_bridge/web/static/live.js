// Turns the events of /live/TOPICS into DOM events on the body: "live:queue" with detail.about.
// A page asks for topics by <meta name="live" content="queue,tasks">; an element then says
// hx-trigger="live:queue from:body" hx-target="#list". That element must stand outside of what it replaces:
// htmx forgets a request that waits at an element that is gone. A hidden tab listens to nothing (a browser has six connections
// for all tabs of a site) and looks at everything anew when it is shown again.
const topics = document.querySelector('meta[name="live"]')?.content ?? "";
let source = null;
let wasHidden = false;

function tell(topic, about) {
  document.body.dispatchEvent(new CustomEvent(`live:${topic}`, { detail: { about } }));
}

function listen() {
  source = new EventSource(`/live/${topics}`);
  source.onopen = () => { document.body.dataset.live = "on"; };
  source.onerror = () => {
    document.body.dataset.live = "off";
    // a refusal (the session is over) closes for good; a page that is asked for anew then leads to the log-in
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 10000);
  };
  for (const topic of topics.split(",")) {
    source.addEventListener(topic, (event) => tell(topic, event.data));
  }
}

function seen() {
  if (document.hidden) {
    source?.close();
    source = null;
    wasHidden = true;
  } else if (source === null) {
    listen();
    if (wasHidden) for (const topic of topics.split(",")) tell(topic, "*");
  }
}

if (topics) {
  document.addEventListener("visibilitychange", seen);
  seen();
}
