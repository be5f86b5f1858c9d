// All races of a store, the newest first.

const drawn = new Map(); // by id: what a row shows, and the row
const chosen = [];
const follow = Number(new URLSearchParams(location.search).get("follow"));
let told = read("listed");

page = { labels: [] };
followTheme((theme) => (document.documentElement.dataset.theme = theme));
drawAll();
listen("/api/events", { news: (said) => {
  told = said;
  drawRaces();
} });

function drawAll() {
  drawn.clear();
  drawTexts(t("live.title_races"), t("live.footer"), drawAll);
  drawConnection();
  drawRaces();
}

function drawRaces() {
  const { races, store, problem } = told;
  const mine = follow && races.find((race) => race.pulse?.process === follow);
  if (mine) return location.replace(`/race/${mine.id}`);
  put("where", problem ? [h("span", null, t("live.problem")), " ", h("span", { class: "path" }, problem)] : h("span", { class: "path" }, t("live.where", { store })), follow ? h("span", { class: "status" }, t("live.waiting")) : null);
  drawChosen();
  if (!races.length) {
    drawn.clear();
    return put("races", h("p", null, t("live.no_races")));
  }
  if (!drawn.size) {
    const head = ["compare", "race", "state", "workload", "contenders", "entered", "verdict"].map((name) => t(`live.column_${name}`));
    put("races", table(t("live.races"), head, [], { class: "wide races" }));
  }
  const body = document.querySelector("#races tbody");
  races.forEach((race, place) => {
    const text = JSON.stringify(race);
    const before = drawn.get(race.id);
    if (before?.text !== text) {
      const made = raceRow(race);
      const focus = before && [...before.row.querySelectorAll("a, input")].indexOf(document.activeElement);
      before?.row.replaceWith(made);
      drawn.set(race.id, { text, row: made });
      if (focus >= 0) made.querySelectorAll("a, input")[focus]?.focus({ preventScroll: true });
    }
    const { row: shownRow } = drawn.get(race.id);
    if (body.rows[place] !== shownRow) body.insertBefore(shownRow, body.rows[place] ?? null);
  });
  while (body.rows.length > races.length) body.rows[body.rows.length - 1].remove();
}

function raceRow(race) {
  const { pulse } = race;
  const box = h("input", { type: "checkbox", "aria-label": t("live.choose", { race: race.id }), onchange: () => choose(race.id, box.checked) });
  box.checked = chosen.includes(race.id);
  const progress = pulse ? h("span", { class: "small" }, `${stageOf(pulse.stage)}: ${t("trials.found", { found: whole(pulse.trials_done ?? 0), total: whole(pulse.trials ?? 0) })}`) : null;
  const verdict = race.verdict?.[state.lang] ?? (pulse?.leader ? t("live.leads", { name: pulse.leader }) : race.status === "finished" ? t("live.judging") : "–");
  return row(box, h("th", { scope: "row", class: "mono" }, h("a", { href: `/race/${race.id}` }, race.id)), h("td", null, stateOf(race.status), progress), race.workload,
    h("td", { class: "names" }, race.contenders.join(", ")), h("td", { class: "still" }, entered(race.created)), h("td", { class: "verdict" }, verdict));
}

/** Two races at most: a third takes the place of the first. */
function choose(id, wanted) {
  const at = chosen.indexOf(id);
  if (at >= 0) chosen.splice(at, 1);
  if (wanted) chosen.push(id);
  while (chosen.length > 2) {
    const gone = drawn.get(chosen.shift())?.row.querySelector("input");
    if (gone) gone.checked = false;
  }
  drawChosen();
}

function drawChosen() {
  const [a, b] = chosen;
  const words = b ? h("a", { class: "button", href: `/compare?a=${a}&b=${b}` }, t("live.compare", { a, b })) : h("span", { class: "small" }, t("live.compare_help"));
  if (told.races.length > 1) put("comparing", words);
}
