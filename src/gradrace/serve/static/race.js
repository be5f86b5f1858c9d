// The strip above the page of a race, and the page renewed as the race goes on.

const id = here.race;
let now = null; // what was told last
let shownVersion = 0;
let shownAs = "";
let fetching = false;
let begun = false;

listen(`/api/races/${id}/events`, {
  hello: (another) => {
    if (another) shownVersion = 0; // another server counts anew
  },
  news: (said) => {
    now = said;
    drawStrip();
    renewIfNew();
    renewStandings();
  },
});
document.addEventListener("visibilitychange", renewIfNew);
renewIfNew();

/** Fetches the document when there is a newer one. A page that nobody sees waits, but not for how the race ended. */
async function renewIfNew() {
  const running = now?.status === "running";
  const stale = shownVersion === 0 || (now?.version ?? 0) > shownVersion || (now?.status ?? shownAs) !== shownAs;
  if (fetching || !stale || (begun && running && document.hidden)) return;
  fetching = true;
  const asked = now?.status ?? "";
  try {
    const { version, document: found } = await fetched(`/api/races/${id}/document`);
    if (found.problem) throw new Error(found.problem);
    shownVersion = version;
    shownAs = asked;
    said(found);
    if (begun) renew(found);
    else begin(found);
    begun = true;
    drawStrip();
  } catch (problem) {
    if (!begun) put("told", problem.message);
    setTimeout(renewIfNew, 2000);
  }
  fetching = false;
}

/** The sentence of a race that has not ended, as the server knows it. */
function said(found) {
  if (!now || !["running", "silent", "interrupted"].includes(now.status)) return;
  for (const lang of Object.keys(catalogues)) found.sentences[lang].verdict = catalogues[lang][`live.sentence_${now.status}`];
}

/** Standings come with the news, sooner than the pictures. */
function renewStandings() {
  if (!begun || rows.length || !now.so_far || document.hidden) return;
  const before = JSON.stringify(page.so_far);
  page.so_far = now.so_far;
  if (JSON.stringify(now.so_far) === before) return;
  const restore = asItIs();
  drawStandings();
  restore();
}

function drawStrip() {
  if (!begun || !now) return;
  if (now.problem && !now.status) return put("strip", h("p", null, t("live.problem")), h("p", null, now.problem));
  const status = now.starting ? "starting" : now.stopping ? "stopping" : now.status;
  const { pulse } = now;
  const running = now.status === "running";
  const facts = [];
  if (running && pulse) {
    const share = pulse.trial_steps ? pulse.trial_steps_done / pulse.trial_steps : 1;
    facts.push([t("live.stage"), [stageOf(pulse.stage), " ", h("progress", { value: share, max: 1, "aria-label": t("live.progress") }), ` ${percent(Math.floor(100 * share) / 100)}`]]);
    facts.push([t("live.trials"), t("trials.found", { found: whole(pulse.trials_done), total: whole(pulse.trials) })]);
    facts.push([t("live.rate"), t("live.per_second", { rate: number(pulse.rate, 3) })]);
    facts.push([t("live.left"), pulse.seconds_left === null ? t("page.unknown") : duration(pulse.seconds_left)]);
  }
  const leader = now.so_far?.find((r) => r.validation !== null);
  if (leader) facts.push([t("live.leader"), [named(leader.label), ` ${number(leader.validation)} `, h("span", { class: "small" }, t("so_far.not_final"))]]);
  const focused = document.activeElement?.id;
  put("strip", h("div", { class: "strip" }, h("span", { class: "now" }, stateOf(status)), h("dl", null, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))), button()), sentence());
  if (focused === "act") document.getElementById("act")?.focus({ preventScroll: true });
  if (running && pulse?.trial_steps) document.title = `${percent(Math.floor((100 * pulse.trial_steps_done) / pulse.trial_steps) / 100)} · ${t("page.title", { workload: now.workload, race: id })}`;
}

/** Stop or resume, whichever there is to do. */
function button() {
  const act = (name) => async () => {
    try {
      await ask(`/api/races/${id}/${name}`);
      put("told", t(`live.told_${name}`));
    } catch (problem) {
      put("told", problem.message);
    }
  };
  if (now.status === "running") return h("button", { type: "button", id: "act", disabled: now.stopping, onclick: act("stop") }, t("live.stop"));
  if (["interrupted", "silent"].includes(now.status) && !now.obstacle) return h("button", { type: "button", id: "act", disabled: now.starting, onclick: act("resume") }, t("live.resume"));
  return null;
}

function sentence() {
  const lines = [];
  if (now.problem) lines.push(`${t("live.problem")} ${now.problem}`);
  if (now.status === "silent") lines.push(t("live.silent"));
  if (["interrupted", "silent"].includes(now.status) && now.obstacle) lines.push(`${t("live.no_resume")} ${now.obstacle}`);
  if (now.failed && now.status !== "running") lines.push(`${t("live.failed")} ${now.failed}`);
  return lines.map((line) => h("p", { class: "small" }, line));
}

/** In another language the strip is another, too. */
new MutationObserver(() => {
  if (!begun) return;
  drawStrip();
  drawConnection();
  put("told");
}).observe(document.documentElement, { attributeFilter: ["lang"] });
