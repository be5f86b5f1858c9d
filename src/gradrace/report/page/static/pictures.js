// The pictures that plotly draws, each when it first comes into view.

let library = null;

/** Unpacks the plotting library once. The page's policy knows its digest, and lets nothing else run. */
function plotly() {
  library ??= document.documentElement.dataset.library ? served() : unpacked();
  return library;
}

/** The library as a server has it. */
function served() {
  return new Promise((there, failed) => {
    const script = h("script", { src: document.documentElement.dataset.library, onload: () => there(window.Plotly), onerror: failed });
    document.head.append(script);
  });
}

async function unpacked() {
  // It is the last in the page, which may be seen before it is all read.
  if (document.readyState === "loading") await new Promise((read) => document.addEventListener("DOMContentLoaded", read, { once: true }));
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  return window.Plotly;
}

// In labels plotly reads a few tags; a label is text.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function axis(title, more = {}) {
  return {
    title: { text: plain(title), standoff: 8 }, gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), ticks: "outside",
    tickcolor: css("--line"), automargin: true, exponentformat: "power", ...more,
  };
}

const logged = { type: "log", dtick: 1 };

/** A logarithmic scale of values, whose ticks are written out: plotly would write 2 for 0.02. */
function loggedValues() {
  const tickvals = Array.from({ length: 25 }, (_, power) => [1, 2, 5].map((digit) => Number(`${digit}e${power - 12}`))).flat();
  return { type: "log", tickmode: "array", tickvals, ticktext: tickvals.map((value) => number(value)) };
}


/** Draws traces into a box with a text in place of the picture for those who do not see it. */
async function plot(box, alt, traces, layout) {
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", alt);
  try {
    const Plotly = await plotly();
    const { xaxis, yaxis } = layout;
    await Plotly.react(box, traces, {
      // What the reader has zoomed to stays while a race grows, until the axes are others.
      uirevision: JSON.stringify([xaxis?.type, yaxis?.type, xaxis?.title.text]),
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest", dragmode: "zoom",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: css("--text") },
      margin: { l: 56, r: 16, t: 16, b: 48 }, hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { color: css("--text") } }, ...layout,
    }, { displayModeBar: false, responsive: true });
  } catch (problem) {
    if (!("DecompressionStream" in window)) box.replaceChildren(h("p", null, t("page.no_pictures")));
    else throw problem;
  }
}

const boxes = new Map();

/** The box of a picture: the same each time, so that a picture changes and is not made anew. */
function picture(name, height) {
  if (!boxes.has(name)) boxes.set(name, h("div", { class: "picture" }));
  const box = boxes.get(name);
  box.style.height = `${height}px`;
  return box;
}

function choice(name, options, current, press) {
  const buttons = options.map(([value, words]) => h("button", { type: "button", "aria-pressed": String(value === current), onclick: () => press(value) }, words));
  return h("span", { class: "choice", role: "group", "aria-label": name }, h("span", { class: "small" }, name), buttons);
}

const numbers = (...content) => h("details", null, h("summary", null, t("page.numbers")), content);

/** Values that spread widely are better seen on a logarithmic scale; where less is better, what went wrong is far away. */
function spread(values) {
  const widely = summary.workload.direction === "min" ? 8 : 50;
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  return known.length > 0 && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) > widely;
}

/* ---- sensitivity ---- */

const BAR = 0.026; // height of a safe range's bar, as a share of the picture's

function drawSensitivity() {
  const { trials } = page;
  const box = picture("sensitivity", 430 + 10 * shown().length);
  const labels = shown();
  const tuning = trials.stages.indexOf("tuning");
  const chosen = new Set(trials.chosen);
  const lr = trials.configuration.lr ?? [];
  const everything = trials.first.filter((value) => value !== null);
  const log = spread(everything);
  const worst = summary.workload.direction === "max" ? Math.min(...everything, Infinity) : Math.max(...everything, -Infinity);
  const lost = Number.isFinite(worst) ? worst : 1;
  const traces = [];
  const shapes = [];
  labels.forEach((label, place) => {
    const { colour, mark: symbol, dash } = style(label);
    const mine = trials.contender.flatMap((index, i) => (trials.labels[index] === label && trials.stage[i] === tuning && lr[i] > 0 ? [i] : []));
    const good = mine.filter((i) => trials.first[i] !== null);
    const bad = mine.filter((i) => trials.first[i] === null);
    const words = (i) => `${plain(label)}<br>${plain(configuration(trialConfiguration(i)))}<br>${number(trials.first[i])}`;
    const points = (indices, more) => ({ type: "scatter", mode: "markers", x: indices.map((i) => lr[i]), hoverinfo: "text", ...more });
    traces.push(points(good, {
      y: good.map((i) => trials.first[i]), text: good.map(words),
      marker: { color: colour, symbol, size: good.map((i) => (chosen.has(i) ? 11 : 7)), opacity: good.map((i) => (chosen.has(i) ? 1 : 0.5)),
        line: { color: css("--text"), width: good.map((i) => (chosen.has(i) ? 2 : 0)) } },
    }));
    traces.push(points(bad, {
      y: bad.map(() => lost), text: bad.map((i) => `${plain(label)}<br>${plain(configuration(trialConfiguration(i)))}<br>${plain(t("sensitivity.diverged"))}`),
      marker: { color: colour, symbol: summary.workload.direction === "max" ? "triangle-down-open" : "triangle-up-open", size: 10, line: { width: 1.5 } }, cliponaxis: false,
    }));
    const line = page.sensitivity[label];
    traces.push({ type: "scatter", mode: "lines", x: line.lr, y: line.median, hoverinfo: "skip", line: { color: colour, width: 2.5, dash }, connectgaps: false });
    const safe = rows.find((r) => r.label === label)?.lr_safe_range;
    if (!safe) return;
    const stretch = { type: "rect", xref: "x", yref: "paper", x0: safe[0], x1: safe[1], fillcolor: colour, line: { color: colour, width: 2 } };
    const above = 1 + (labels.length - place) * BAR;
    shapes.push({ ...stretch, y0: above - 0.6 * BAR, y1: above });
    if (labels.length === 1) shapes.push({ ...stretch, y0: 0, y1: 1, opacity: 0.12, line: { width: 0 } });
  });
  const strips = labels.flatMap((label) => {
    const safe = rows.find((r) => r.label === label)?.lr_safe_range;
    return safe ? [h("li", null, named(label), ` ${range(safe)}`)] : [];
  });
  const ranges = rows.filter((r) => labels.includes(r.label)).map((r) => `${r.label} ${range(r.lr_safe_range)}`);
  const press = (value) => {
    page.labels.forEach((label) => (value === null || value === label ? state.hidden.delete(label) : state.hidden.add(label)));
    drawChips();
  };
  const only = labels.length === 1 ? labels[0] : labels.length === page.labels.length ? null : undefined;
  put("sensitivity-body", choice(t("sensitivity.show"), [[null, t("sensitivity.all")], ...page.labels.map((label) => [label, label])], only, press), box,
    strips.length ? h("p", { class: "small" }, t("standings.safe")) : null, strips.length ? h("ul", { class: "inline" }, strips) : null, legend(t("sensitivity.legend", { metric })));
  return plot(box, t("sensitivity.alt", { metric, ranges: listed(ranges) }), traces, {
    xaxis: axis(t("sensitivity.axis_x"), logged), yaxis: axis(t("sensitivity.axis_y", { metric }), log ? loggedValues() : { showticklabels: Number.isFinite(worst) }), shapes,
    margin: { l: 56, r: 16, t: 16 + 366 * BAR * labels.length, b: 48 },
  });
}

/* ---- learning curves ---- */

const learning = { by: "steps", scale: null };

function drawLearning() {
  const labels = shown().filter((label) => page.learning[label]);
  const box = picture("learning", 400);
  const every = page.labels.flatMap((label) => page.learning[label]?.median ?? []);
  if (every.every((value) => value === null)) return put("learning-body", nothing());
  learning.scale ??= spread(every) ? "log" : "linear";
  // Where a study diverged the band is open: it is drawn as far as the worst value of any contender.
  const less = summary.workload.direction === "min";
  const known = page.labels.flatMap((label) => page.learning[label]?.[less ? "high" : "low"] ?? []).filter((value) => value !== null);
  const worst = less ? Math.max(...known) : Math.min(...known);
  const cost = (label) => (learning.by === "steps" ? 1 : rows.find((r) => r.label === label)?.step_seconds ?? NaN);
  const traces = labels.flatMap((label) => {
    const { colour, mark: symbol, dash } = style(label);
    const { steps, median, low, high } = page.learning[label];
    const ends = (values) => values.map((value, i) => (median[i] === null ? null : value ?? worst));
    const x = steps.map((step) => step * cost(label));
    const edge = { type: "scatter", mode: "lines", x, hoverinfo: "skip", line: { width: 0 } };
    return [
      { ...edge, y: ends(low) },
      { ...edge, y: ends(high), fill: "tonexty", fillcolor: `${colour}1a` },
      { type: "scatter", mode: "lines+markers", x, y: median, line: { color: colour, width: 2.5, dash }, marker: { symbol, size: 7 },
        text: median.map((value, i) => `${plain(label)}<br>${number(x[i])}<br>${number(value)} ${interval([low[i], high[i]])}`), hoverinfo: "text" },
    ];
  });
  const ends = labels.map((label) => `${label} ${number(page.learning[label].median.at(-1))}`);
  const switchTo = (name) => (value) => {
    learning[name] = value;
    drawLearning();
  };
  const timed = rows.some((r) => r.step_seconds !== null);
  const body = labels.flatMap((label) => page.learning[label].steps.map((step, i) => {
    const { median, low, high } = page.learning[label];
    return row(named(label), numeric(whole(step)), numeric(number(median[i])), numeric(interval([low[i], high[i]])));
  }));
  const early = labels.some((label) => page.learning[label].stage !== "confirmation");
  put("learning-body", h("div", { class: "choices" },
    timed ? choice(t("learning.by"), [["steps", t("learning.steps")], ["seconds", t("learning.seconds")]], learning.by, switchTo("by")) : null,
    choice(t("learning.scale"), [["linear", t("learning.linear")], ["log", t("learning.log")]], learning.scale, switchTo("scale"))),
    box, legend(t(early ? "learning.legend_so_far" : "learning.legend")),
    numbers(table(t("learning.title"), [t("standings.contender"), t("rungs.step"), t("sensitivity.axis_y", { metric }), ""], body)));
  return plot(box, t("learning.alt", { metric, ends: listed(ends) }), traces, {
    xaxis: axis(t(learning.by === "steps" ? "learning.axis_steps" : "learning.axis_seconds"), { rangemode: "tozero" }),
    yaxis: axis(t("sensitivity.axis_y", { metric }), learning.scale === "log" ? loggedValues() : {}),
  });
}

/* ---- smaller budgets ---- */

function drawBudget() {
  const { budget } = summary;
  if (!budget || page.labels.every((label) => budget.best_of_n[label].every((value) => value === null))) return put("budget-body", nothing());
  const [left, right] = [picture("budget", 340), picture("chance", 340)];
  const { trials } = summary.plan;
  const n = Array.from({ length: trials }, (_, i) => i + 1);
  const curves = (values, bands, shape) => shown().flatMap((label) => {
    const { colour, mark: symbol, dash } = style(label);
    const ends = bands?.[label];
    const edge = (side) => ({ type: "scatter", mode: "lines", x: n, y: ends.map((pair) => pair?.[side] ?? null), hoverinfo: "skip", line: { width: 0, shape } });
    const line = { type: "scatter", mode: "lines+markers", x: n, y: values[label], line: { color: colour, width: 2.5, dash }, marker: { symbol, size: 6 },
      text: values[label].map((value, i) => `${plain(label)}, n = ${i + 1}<br>${number(value)} ${interval(ends?.[i])}`), hoverinfo: "text" };
    return ends ? [edge(0), { ...edge(1), fill: "tonexty", fillcolor: `${colour}1a` }, line] : [line];
  });
  const chances = budget.probability_best_by_n;
  const told = (index) => listed(page.labels.map((label) => `${label} ${percent(chances[label].at(index))}`));
  const body = page.labels.flatMap((label) => n.map((count, i) => row(named(label), numeric(whole(count)), numeric(number(budget.best_of_n[label][i])), numeric(percent(chances[label][i])))));
  const alt = t("budget.alt", { metric, trials, one: told(0), all: told(-1) });
  const log = spread(page.labels.flatMap((label) => budget.best_of_n[label]));
  put("budget-body", h("div", { class: "two" }, left, right), legend(t("budget.legend", { metric, step: whole(budget.at_step) })),
    numbers(table(t("budget.title"), [t("standings.contender"), "n", t("budget.axis_y", { metric }), t("budget.axis_chance")], body)));
  const x = axis(t("budget.axis_x"), { rangemode: "tozero" });
  return Promise.all([
    plot(left, alt, curves(budget.best_of_n, budget.best_of_n_band), { xaxis: x, yaxis: axis(t("budget.axis_y", { metric }), log ? loggedValues() : {}) }),
    plot(right, alt, curves(chances, budget.probability_best_band), { xaxis: x, yaxis: axis(t("budget.axis_chance"), { tickformat: ".0%", rangemode: "tozero" }) }),
  ]);
}

/* ---- rungs ---- */

function drawRungs() {
  const { trials } = page;
  const labels = shown();
  if (!page.trials.contender.length) return put("rungs-body", nothing());
  const box = picture("rungs", Math.max(160, 110 * labels.length + 60));
  const tuning = trials.stages.indexOf("tuning");
  const chosen = new Set(trials.chosen);
  const lr = trials.configuration.lr ?? [];
  const traces = [];
  const gap = 0.18 / Math.max(1, labels.length);
  const layout = { grid: { rows: labels.length, columns: 1 }, xaxis: axis(t("sensitivity.axis_x"), { ...logged, anchor: `y${labels.length > 1 ? labels.length : ""}` }), annotations: [] };
  const symbols = { finished: "circle", dropped: "line-ew-open", diverged: "triangle-up-open", failed: "x-open", interrupted: "square-open" };
  labels.forEach((label, place) => {
    const { colour } = style(label);
    const name = place ? `y${place + 1}` : "y";
    const mine = trials.contender.flatMap((index, i) => (trials.labels[index] === label && trials.stage[i] === tuning && lr[i] > 0 ? [i] : []));
    const status = (i) => trials.statuses[trials.status[i]];
    traces.push({ type: "scatter", mode: "lines", yaxis: name, hoverinfo: "skip", line: { color: colour, width: 1 }, opacity: 0.5,
      x: mine.flatMap((i) => [lr[i], lr[i], null]), y: mine.flatMap((i) => [0, trials.steps[i], null]) });
    traces.push({ type: "scatter", mode: "markers", yaxis: name, x: mine.map((i) => lr[i]), y: mine.map((i) => trials.steps[i]), hoverinfo: "text", cliponaxis: false,
      text: mine.map((i) => `${plain(label)}<br>${plain(configuration(trialConfiguration(i)))}<br>${plain(t(`trials.status_${status(i)}`))}: ${whole(trials.steps[i])}`),
      marker: { color: colour, symbol: mine.map((i) => symbols[status(i)]), size: mine.map((i) => (chosen.has(i) ? 10 : 7)),
        line: { color: mine.map((i) => (chosen.has(i) ? css("--text") : colour)), width: mine.map((i) => (chosen.has(i) ? 2 : 1.5)) } } });
    const top = 1 - place / labels.length;
    layout[`yaxis${place ? place + 1 : ""}`] = axis("", { domain: [top - 1 / labels.length + gap, top - gap], rangemode: "tozero",
      tickvals: [...new Set(page.rungs[label].filter((rung) => rung.dropped || rung.finished).map((rung) => rung.step))] });
    layout.annotations.push({ text: `<b>${plain(label)}</b>`, xref: "paper", yref: "paper", x: 0, y: top - gap, xanchor: "left", yanchor: "bottom", showarrow: false, font: { color: css("--text"), size: 12 } });
  });
  const told = (label) => listed(page.rungs[label].map((rung) => t("rungs.alt_reached", { trials: whole(rung.reached), step: whole(rung.step) })));
  const reached = labels.map((label) => t("rungs.alt_one", { name: label, reached: told(label) })).join("; ");
  const fates = ["dropped", "diverged", "failed", "finished"];
  const body = labels.flatMap((label) => page.rungs[label].map((rung) => row(named(label), numeric(whole(rung.step)), numeric(whole(rung.reached)), ...fates.map((fate) => numeric(whole(rung[fate]))))));
  const head = [t("standings.contender"), t("rungs.step"), t("rungs.reached"), ...fates.map((fate) => t(`rungs.${fate}`))];
  put("rungs-body", box, legend(t(summary.plan.halving ? "rungs.legend" : "rungs.legend_whole")), numbers(table(t("rungs.title"), head, body)));
  return plot(box, t("rungs.alt", { reached }), traces, { ...layout, margin: { l: 56, r: 16, t: 24, b: 48 } });
}
