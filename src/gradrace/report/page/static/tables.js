// What is told in words and tables: verdict, standings, pairs, target, cost, luck, cards, and how it was judged.

function drawVerdict() {
  put("task", [summary.workload.title ?? summary.workload.name, summary.workload.stands_for].filter(Boolean).join(" · "));
  put("sentence", page.sentences[state.lang].verdict);
  const facts = [
    [whole(summary.cost.trials), t("verdict.fact_trials")],
    [whole(summary.cost.trial_steps), t("verdict.fact_steps")],
    summary.imported ? null : [whole(summary.plan.studies), t("verdict.fact_studies")],
    summary.cost.seconds === null ? null : [t("how.seconds_unit", { seconds: number(summary.cost.seconds, 3) }), t("verdict.fact_time")],
  ].filter(Boolean);
  put("verdict-body", pasteLine(), howSure(), warnings(), h("dl", { class: "facts" }, facts.map(([value, name]) => h("div", null, h("dt", null, name), h("dd", null, value)))));
}

function pasteLine() {
  const code = summary.recommendation.code;
  if (!code) return null;
  const told = h("span", { role: "status", class: "told" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(code);
      told.textContent = t("verdict.copied");
    } catch {
      getSelection().selectAllChildren(line);
      told.textContent = t("verdict.copy_failed");
    }
  };
  const line = h("code", null, code);
  return h("div", { class: "paste" },
    h("p", { class: "small" }, t("verdict.paste")),
    h("div", { class: "code" },
      h("pre", { tabindex: "0", role: "region", "aria-label": t("verdict.paste") }, line),
      h("button", { type: "button", id: "copy", onclick: copy }, t("verdict.copy")), told));
}

function howSure() {
  if (!page.sure.length) return null;
  const name = summary.recommendation.optimizer;
  const lines = page.sure.map((pair) => {
    const [low, high] = pair.interval ?? [null, null];
    const values = { name, other: pair.other, difference: number(pair.difference), low: number(low), high: number(high), p: number(pair.p_adjusted, 2) };
    const more = !pair.decided && pair.studies_to_decide ? ` ${t("verdict.sure_more", { studies: pair.studies_to_decide })}` : "";
    return h("li", null, mark(pair.other), " ", t(pair.decided ? "verdict.sure_decided" : "verdict.sure_open", values) + more);
  });
  const { studies, seeds } = summary.plan;
  const how = page.sentences[state.lang].how;
  return h("details", { open: true }, h("summary", null, t("verdict.sure")), h("p", null, how ? how.slice(1, 3).join(" ") : t("verdict.sure_how", { studies, seeds })), h("ul", { class: "sure" }, lines));
}

function warnings() {
  const said = page.sentences[state.lang].warnings;
  if (!said.length) return null;
  return h("details", null, h("summary", null, `${t("verdict.bear")} (${said.length})`), h("ul", null, said.map((warning) => h("li", null, warning))));
}

/* ---- standings ---- */

const sorting = { column: "place", down: false };

function drawStandings() {
  if (!rows.length) return drawSoFar();
  const low = Math.min(...rows.map((r) => r.test.interval?.[0] ?? r.test.mean));
  const high = Math.max(...rows.map((r) => r.test.interval?.[1] ?? r.test.mean));
  const columns = [
    ["place", t("standings.place"), (r) => rows.indexOf(r)],
    ["contender", t("standings.contender"), (r) => r.label],
    ["test", t("standings.test", { metric }), (r) => r.test.mean],
    ["validation", t("standings.validation", { metric }), (r) => r.validation.mean],
    [null, t("standings.configuration")],
    ["safe", t("standings.safe"), (r) => r.lr_robustness_decades],
    ["diverged", t("standings.diverged"), (r) => r.diverged],
    ["step", t("standings.step"), (r) => r.step_seconds],
    [null, t("standings.tied")],
  ];
  const value = columns.find(([name]) => name === sorting.column)[2];
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return (typeof x === "string" ? x.localeCompare(y, locale()) : x - y) * (sorting.down ? -1 : 1);
  };
  const order = [...rows].sort(compare);
  const bracketed = sorting.column === "place" && !sorting.down;
  const head = columns.map(([name, words]) => sortable(name, words));
  const body = order.map((r, index) => {
    const joined = bracketed ? page.brackets.map(([first, last], lane) => bracket(index, first, last, lane)) : [];
    const others = rows.length - 1;
    return row(
      h("td", { class: "place", style: `padding-right:${1.2 + 0.6 * page.brackets.length}rem` }, whole(r.place), joined),
      h("th", { scope: "row" }, named(r.label)),
      h("td", { class: "whisker" }, h("span", { class: "strong" }, number(r.test.mean)), " ", whisker(r.test.mean, r.test.interval, low, high, style(r.label).colour), h("span", { class: "small" }, interval(r.test.interval))),
      h("td", { class: "numeric" }, number(r.validation.mean)),
      h("td", { class: "mono" }, r.configuration ? configuration(r.configuration) : t("standings.no_configuration")),
      h("td", { class: "still" }, range(r.lr_safe_range), small(r.lr_robustness_decades, (width) => t("standings.width", { width }))),
      numeric(t("standings.diverged_of", { diverged: whole(r.diverged), trials: whole(r.trials) })),
      h("td", { class: "numeric" }, r.step_seconds === null ? "–" : t("standings.step_value", { step: number(r.step_seconds * 1e3, 3) }), small(r.state_bytes_per_parameter, (state) => t("standings.state_value", { state }))),
      h("td", { class: "small" }, others > 1 && r.tied_with.length === others ? t("standings.all_others") : r.tied_with.join(", ")),
    );
  });
  const lead = t(summary.workload.direction === "max" ? "standings.lead_max" : "standings.lead_min", { metric });
  put("standings-body", h("p", { class: "lead" }, lead), table(t("standings.title"), head, body, { class: "wide" }), legend(t("standings.legend")), otherMetrics());
}

/** Who is ahead in a race that has not ended. */
function drawSoFar() {
  const known = page.so_far ?? [];
  if (!known.some((r) => r.trials)) return put("standings-body", h("p", null, t("standings.none")));
  const values = known.map((r) => r.validation).filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const confirmed = known[0].by === "confirmation";
  const body = known.map((r) => row(h("th", { scope: "row" }, named(r.label)),
    h("td", { class: "whisker" }, h("span", { class: "strong" }, number(r.validation)), r.validation === null ? null : whisker(r.validation, null, low, high, style(r.label).colour)),
    ...["studies", "trials", "dropped", "diverged", "failed"].map((name) => numeric(whole(r[name])))));
  const head = [t("standings.contender"), t("standings.validation", { metric }), t("so_far.studies"), t("so_far.trials"), t("so_far.dropped"), t("standings.diverged"), t("so_far.failed")];
  put("standings-body", h("p", { class: "lead" }, h("span", { class: "status" }, t("so_far.not_final")), " ", t("so_far.lead")),
    table(t("so_far.title"), head, body), legend(t(confirmed ? "so_far.legend_confirmation" : "so_far.legend_tuning", { metric })));
}

const small = (value, words) => (value === null ? null : h("span", { class: "small" }, words(number(value, 2))));

/** A contender's part of a line that joins those from `first` to `last`. */
function bracket(index, first, last, lane) {
  if (index < first || index > last) return null;
  const part = index === first ? "first" : index === last ? "last" : "middle";
  return h("span", { class: `bracket ${part}`, style: `left:${1.9 + 0.6 * lane}rem`, "aria-hidden": "true" });
}

function sortable(name, words) {
  if (name === null) return h("th", { scope: "col" }, words);
  const active = sorting.column === name;
  const press = () => {
    Object.assign(sorting, { column: name, down: active && !sorting.down });
    drawStandings();
    document.querySelector(`#standings [data-sort="${name}"]`).focus();
  };
  const button = h("button", { type: "button", class: "sort", "data-sort": name, title: t("standings.sort", { column: words }), onclick: press },
    words, h("span", { "aria-hidden": "true" }, active ? (sorting.down ? " ▾" : " ▴") : ""));
  return h("th", { scope: "col", "aria-sort": active ? (sorting.down ? "descending" : "ascending") : null }, button);
}

/** A point and its interval on a scale that all rows share. */
function whisker(mean, ends, low, high, colour) {
  const at = (value) => 4 + (112 * (value - low)) / (high - low || 1);
  const line = ends ? svg("line", { x1: at(ends[0]), x2: at(ends[1]), y1: 8, y2: 8, stroke: colour, "stroke-width": 3, "stroke-linecap": "round", opacity: 0.45 }) : null;
  return svg("svg", { viewBox: "0 0 120 16", class: "interval", "aria-hidden": "true" }, line, svg("circle", { cx: at(mean), cy: 8, r: 4.5, fill: colour }));
}

function otherMetrics() {
  const names = Object.keys(rows[0].others);
  if (!names.length) return null;
  const body = rows.map((r) => row(h("th", { scope: "row" }, named(r.label)), ...names.map((name) => numeric(`${number(r.others[name].mean)} ${interval(r.others[name].interval)}`))));
  return h("details", null, h("summary", null, t("standings.others")), table(t("standings.others"), [t("standings.contender"), ...names], body));
}

/* ---- pairs ---- */

function drawPairs() {
  if (!summary.pairs.length) return put("pairs-body", h("p", null, t("pairs.none")));
  const found = new Map();
  for (const pair of summary.pairs) {
    found.set(`${pair.a}\n${pair.b}`, { ...pair, sign: 1 });
    found.set(`${pair.b}\n${pair.a}`, { ...pair, sign: -1 });
  }
  const head = [t("pairs.row"), ...page.labels.map((label) => h("th", { scope: "col" }, named(label)))];
  const body = page.labels.map((a) => row(h("th", { scope: "row" }, named(a)), ...page.labels.map((b) => (a === b ? h("td", { class: "self" }, "·") : pairCell(a, b, found.get(`${a}\n${b}`))))));
  put("pairs-body", table(t("pairs.title"), head, body, { class: "matrix" }), legend(t("pairs.legend", { metric })));
}

function pairCell(a, b, pair) {
  const open = pair.decision.startsWith("no ");
  const won = !open && (pair.decision === "a better") === (pair.sign > 0);
  const ends = pair.interval && [pair.sign * pair.interval[0], pair.sign * pair.interval[1]].sort((x, y) => x - y);
  const words = open ? t("pairs.open") : t(won ? "pairs.better" : "pairs.worse", { a, b });
  const more = open && pair.studies_to_decide ? h("span", { class: "small" }, t("pairs.studies", { studies: pair.studies_to_decide })) : null;
  return h("td", { class: open ? "open" : won ? "won" : "lost" },
    h("span", { class: "sign", "aria-hidden": "true" }, open ? "=" : won ? "+" : "−"), " ",
    h("strong", null, number(pair.sign * pair.difference)), h("span", { class: "unseen" }, ` ${words}`),
    h("span", { class: "small" }, interval(ends)),
    pair.p_adjusted === null ? null : h("span", { class: "small" }, t("pairs.p", { p: number(pair.p_adjusted, 2) })), more);
}

/* ---- target, cost, luck: bars in tables ---- */

/** A bar from 0, as a share of the greatest. */
function bar(share, label, extra = "") {
  const inner = h("span", { class: `fill ${extra}` });
  inner.style.setProperty("--share", `${100 * Math.max(0, Math.min(1, share))}%`);
  inner.style.setProperty("--colour", style(label).colour);
  return h("span", { class: "track", "aria-hidden": "true" }, inner);
}

function drawTarget() {
  const { target } = summary;
  if (!target || !rows.length) return put("target-body", h("p", null, t("target.none")));
  const longest = Math.max(...Object.values(summary.plan.steps_of));
  const level = rows.map((r) => r.steps_to_target_level).find((known) => known !== null);
  const body = rows.map((r) => {
    const ends = r.steps_to_target_interval;
    const [reached, total] = r.target_reached;
    const between = ends ? `${whole(ends[0])} ${t("page.to")} ${ends[1] === null ? t("target.later") : whole(ends[1])}` : "–";
    const picture = r.steps_to_target === null ? null : whisker(r.steps_to_target, ends && [ends[0], ends[1] ?? longest], 0, longest, style(r.label).colour);
    return row(h("th", { scope: "row" }, named(r.label)), h("td", { class: "whisker" }, picture, ends && ends[1] === null ? h("span", { "aria-hidden": "true" }, "→") : null),
      numeric(r.steps_to_target === null ? t("target.not_reached") : whole(r.steps_to_target)), numeric(between), numeric(number(r.seconds_to_target, 2)),
      numeric(t("target.reached_of", { reached: whole(reached), total: whole(total) })));
  });
  const values = { metric, value: number(target.value), whose: t(`target.${target.source}`), level: level === undefined ? "" : percent(level) };
  const head = [t("standings.contender"), t("page.picture"), t("target.steps"), t("target.interval"), t("target.seconds"), t("target.reached")];
  put("target-body", table(t("target.title"), head, body), legend(t(level === undefined ? "target.legend_plain" : "target.legend", values)));
}

function drawCost() {
  if (!rows.some((r) => r.step_seconds !== null)) return put("cost-body", h("p", null, t("cost.none")));
  const most = (name) => Math.max(...rows.map((r) => r[name] ?? 0)) || 1;
  const [slowest, largest] = [most("step_seconds"), most("state_bytes_per_parameter")];
  const body = rows.map((r) => row(h("th", { scope: "row" }, named(r.label)),
    h("td", { class: "still" }, bar((r.step_seconds ?? 0) / slowest, r.label), " ", r.step_seconds === null ? "–" : number(r.step_seconds * 1e3, 3)),
    h("td", { class: "still" }, bar((r.state_bytes_per_parameter ?? 0) / largest, r.label), " ", number(r.state_bytes_per_parameter, 3))));
  const parameters = summary.plan.parameters === null ? t("page.unknown") : whole(summary.plan.parameters);
  put("cost-body", table(t("cost.title"), [t("standings.contender"), t("cost.step"), t("cost.state")], body), legend(t("cost.legend", { parameters })));
}

function drawLuck() {
  const known = rows.filter((r) => r.luck && r.luck.share_tuning !== null);
  if (!known.length) return put("luck-body", h("p", null, t("luck.none")));
  const body = known.map((r) => row(h("th", { scope: "row" }, named(r.label)),
    h("td", { class: "still" }, bar(r.luck.share_tuning, r.label, "split"), " ", `${percent(r.luck.share_tuning)} / ${percent(1 - r.luck.share_tuning)}`)));
  put("luck-body", table(t("luck.title"), [t("standings.contender"), `${t("luck.tuning")} / ${t("luck.seed")}`], body), legend(t("luck.legend")));
}
