// What the pages of the server share: the language that was chosen last, the stream of news, and asking for a change.

const here = document.documentElement.dataset;
const connection = { lost: false, ended: false, since: null };
let changes = here.changes;

try {
  const kept = localStorage.getItem("gradrace.lang");
  if (kept in catalogues && !new URLSearchParams(location.search).has("lang")) state.lang = kept;
  document.addEventListener("click", (event) => {
    const lang = event.target.closest?.("#languages button")?.lang;
    if (lang) localStorage.setItem("gradrace.lang", lang);
  }, true); // before the buttons are made anew
} catch {
  // A browser that keeps nothing asks again.
}

const LONGEST_WAIT = 15000;

/** Listens to a stream for as long as the page is open. What was shown stays when the server goes, and goes on when it is back. */
function listen(address, { hello, news }) {
  let wait = 1000;
  const open = () => {
    const source = new EventSource(address);
    source.addEventListener("hello", (event) => {
      const said = JSON.parse(event.data);
      [wait, changes] = [1000, said.changes];
      Object.assign(connection, { lost: false, ended: false });
      drawConnection();
      hello?.(said.session !== here.session);
      here.session = said.session;
    });
    source.addEventListener("state", (event) => {
      connection.since = new Date();
      news(JSON.parse(event.data));
    });
    source.addEventListener("bye", () => {
      connection.ended = true;
      again();
    });
    source.addEventListener("error", () => {
      connection.lost = true;
      again();
    });
    let over = false;
    const again = () => {
      if (over) return;
      over = true;
      source.close();
      drawConnection();
      setTimeout(open, wait);
      wait = Math.min(LONGEST_WAIT, 1.5 * wait);
    };
  };
  open();
}

const clock = (moment) => new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(moment);

function drawConnection() {
  const { lost, ended, since } = connection;
  const told = ended ? t("live.ended") : lost ? t("live.lost") : "";
  put("connection", told && (since ? `${told} ${t("live.as_of", { time: clock(since) })}` : told));
}

async function fetched(address, options = {}) {
  const answer = await fetch(address, { cache: "no-store", ...options });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.problem ?? String(answer.status));
  return said;
}

/** Asks the server for a change, which only a page of its own can. */
const ask = (address) => fetched(address, { method: "POST", headers: { "X-Gradrace-Token": changes } });

const known = (status) => t(`live.status_${status}`);
const stateOf = (status) => h("span", { class: "state" }, h("span", { class: `dot ${status}`, "aria-hidden": "true" }), known(status));
const STAGES = { tuning: "trials.stage_tuning", "edge of the range": "trials.stage_edge", confirmation: "trials.stage_confirmation" };
const stageOf = (stage) => t(STAGES[stage] ?? "live.stage_starting");
const entered = (created) => new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(/[Z+]/.test(created.slice(10)) ? created : `${created}Z`));

/** Seconds as a person says them. */
function duration(seconds) {
  const [unit, size] = seconds < 100 ? ["second", 1] : seconds < 6000 ? ["minute", 60] : ["hour", 3600];
  return new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 }).format(seconds / size);
}
