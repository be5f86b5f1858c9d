// Two races side by side.

const REFRESH = 3000;
let both = null;

page = { labels: [] };
followTheme((theme) => {
  document.documentElement.dataset.theme = theme;
  if (both) drawRates();
});
drawTexts(t("compare.title"), t("live.footer"), drawAll);
look();

async function look() {
  try {
    both = await fetched(`/api/compare?a=${here.a}&b=${here.b}`);
    Object.assign(connection, { lost: false, since: new Date() });
    coloured = [...new Set(both.races.flatMap((race) => race.labels ?? []))];
    drawAll();
  } catch (problem) {
    connection.lost = true;
    if (!both) put("sides", h("p", null, problem.message));
  }
  drawConnection();
  if (!both || connection.lost || both.races.some((race) => race.status === "running")) setTimeout(look, REFRESH);
}

function drawAll() {
  drawTexts(t("compare.title"), t("live.footer"), drawAll);
  if (!both) return;
  put("compare-lead", t(both.comparable ? "compare.lead" : "compare.not_comparable"));
  put("sides", both.races.map(side));
  drawDifferences();
  drawRates();
}

function side(race, index) {
  const letter = "AB"[index];
  const head = h("h2", null, `${letter} · `, h("a", { href: `/race/${race.id}` }, race.workload), " ", h("span", { class: "small" }, race.id));
  if (race.problem) return h("section", { class: "panel" }, head, h("p", null, race.problem));
  const values = race.rows.map((r) => r.value).filter((value) => value !== null);
  const body = race.rows.map((r) => row(numeric(r.place === null ? "–" : whole(r.place)), h("th", { scope: "row" }, named(r.label)), numeric(number(r.value)), h("td", { class: "small" }, interval(r.interval))));
  const column = t(race.final ? "compare.test" : "standings.validation", { metric: race.metric });
  return h("section", { class: "panel" }, head, h("p", null, stateOf(race.status), " ", race.final ? null : h("span", { class: "status" }, t("so_far.not_final"))),
    race.final ? h("p", null, race.verdict[state.lang]) : null,
    values.length ? table(`${letter}: ${t("standings.title")}`, [t("standings.place"), t("standings.contender"), column, t("compare.interval")], body) : h("p", null, t("standings.none")));
}

function drawDifferences() {
  const body = both.differences.map(({ name, a, b }) => row(h("th", { scope: "row" }, name), h("td", { class: "mono" }, a ?? "–"), h("td", { class: "mono" }, b ?? "–")));
  put("differences-body", body.length ? table(t("compare.differences"), [t("compare.what"), "A", "B"], body) : h("p", null, t("compare.same")));
}

function drawRates() {
  const sides = both.races.filter((race) => !race.problem && race.sensitivity);
  const box = picture("rates", 430);
  const traces = sides.flatMap((race) => {
    const first = race.id === here.a;
    return race.labels.map((label) => {
      const { colour, mark: symbol } = style(label);
      const { lr, median } = race.sensitivity[label];
      const text = median.map((value, i) => `${first ? "A" : "B"} · ${plain(label)}<br>${number(lr[i], 3)}<br>${number(value)}`);
      return { type: "scatter", mode: "lines+markers", x: lr, y: median, text, hoverinfo: "text", line: { color: colour, width: 2.5, dash: first ? "solid" : "dash" }, marker: { symbol: first ? symbol : `${symbol}-open`, size: 8 } };
    });
  });
  const worth = traces.flatMap((trace) => trace.y).filter((value) => value !== null);
  if (!worth.length) return put("rates-body", h("p", null, t("compare.no_rates")));
  const metrics = [...new Set(sides.map((race) => race.metric))];
  put("rates-body", h("ul", { class: "inline" }, coloured.map((label) => h("li", null, named(label)))), box, legend(t("compare.legend")));
  const log = Math.min(...worth) > 0 && Math.max(...worth) / Math.min(...worth) > 20;
  return plot(box, t("compare.alt", { labels: listed(coloured) }), traces, { xaxis: axis(t("sensitivity.axis_x"), logged), yaxis: axis(metrics.map((name) => t("sensitivity.axis_y", { metric: name })).join(" / "), log ? loggedValues() : {}) });
}
