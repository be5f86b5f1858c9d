// The table of every trial: searched, filtered and paged, with a curve on demand.

const PAGE = 25;
const view = { words: "", contender: "", stage: "", status: "", page: 0, open: null };

function trialConfiguration(i) {
  return Object.fromEntries(Object.entries(page.trials.configuration).map(([name, values]) => [name, values[i]]));
}

/** What a trial is known by, also when others have come before it. */
function trialKey(i) {
  const { contender, stage, study, seed, point } = page.trials;
  return [page.trials.labels[contender[i]], stage[i], study[i], seed[i], point[i]].join("\n");
}

const everyTrial = () => page.trials.contender.map((_, i) => i);

/** What a trial is found by. */
function trialText(i) {
  const { trials } = page;
  const values = Object.entries(trials.configuration).map(([name, column]) => `${name}=${column[i]}`);
  const error = trials.error[i] === null ? "" : trials.errors[trials.error[i]];
  const status = trials.statuses[trials.status[i]];
  const stage = trials.stages[trials.stage[i]];
  return [trials.labels[trials.contender[i]], status, t(`trials.status_${status}`), stage, t(`trials.stage_${stage}`), trials.validation[i], trials.test[i], ...values, error].join(" ").toLowerCase();
}

function matching() {
  const { trials } = page;
  const words = view.words.toLowerCase().split(/\s+/).filter(Boolean);
  const same = (wanted, value) => wanted === "" || Number(wanted) === value;
  return everyTrial().filter((i) => {
    if (!same(view.contender, trials.contender[i]) || !same(view.stage, trials.stage[i]) || !same(view.status, trials.status[i])) return false;
    if (!words.length) return true;
    const text = trialText(i);
    return words.every((word) => text.includes(word));
  });
}

function drawTrials() {
  const { trials } = page;
  const options = (names, shownAs) => [h("option", { value: "" }, t("trials.any")), ...names.map((name, index) => h("option", { value: index }, shownAs(name)))];
  const change = (name) => (event) => {
    Object.assign(view, { [name]: event.target.value, page: 0, open: null });
    drawRows();
  };
  const select = (name, names, shownAs) => {
    const made = h("select", { onchange: change(name) }, options(names, shownAs));
    made.value = view[name];
    return h("label", null, h("span", null, t(`trials.filter_${name}`)), made);
  };
  const search = h("input", { type: "search", id: "search", value: view.words, oninput: change("words"), placeholder: t("trials.search_help") });
  put("trials-body",
    h("div", { class: "filters" }, h("label", { class: "grow" }, h("span", null, t("trials.search")), search),
      select("contender", trials.labels, (name) => name), select("stage", trials.stages, (name) => t(`trials.stage_${name}`)), select("status", trials.statuses, (name) => t(`trials.status_${name}`))),
    h("p", { id: "found", role: "status", class: "small" }), h("div", { id: "rows" }), h("div", { id: "pager", class: "pager" }),
    legend([t("trials.legend"), t("trials.rounded"), trials.thinned ? t("trials.thinned", trials.thinned) : ""].join(" ")));
  drawRows();
}

function drawRows() {
  const { trials } = page;
  const found = matching();
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  view.page = Math.min(view.page, pages - 1);
  document.getElementById("found").textContent = t("trials.found", { found: whole(found.length), total: whole(trials.contender.length) });
  const names = ["contender", "stage", "study", "seed", "configuration", "status", "steps", "validation", "test", "seconds", "curve"];
  const body = found.slice(view.page * PAGE, (view.page + 1) * PAGE).flatMap((i) => (view.open === i ? [trialRow(i), curveRow(i, names.length)] : [trialRow(i)]));
  put("rows", found.length ? table(t("trials.title"), names.map((name) => t(`trials.${name}`)), body, { class: "wide trials" }) : h("p", null, t("trials.none")));
  const turn = (by, words) => h("button", { type: "button", disabled: view.page + by < 0 || view.page + by >= pages, onclick: () => { view.page += by; view.open = null; drawRows(); } }, words);
  put("pager", turn(-1, t("trials.previous")), h("span", null, t("trials.page_of", { page: whole(view.page + 1), pages: whole(pages) })), turn(1, t("trials.next")));
  if (view.open !== null) drawCurve(view.open);
}

function trialRow(i) {
  const { trials } = page;
  const status = trials.statuses[trials.status[i]];
  const press = () => {
    view.open = view.open === i ? null : i;
    drawRows();
    document.getElementById(`trial-${i}`)?.focus();
  };
  const at = trials.diverged_at[i] === null ? "" : ` ${t("trials.diverged_at", { step: whole(trials.diverged_at[i]) })}`;
  const error = trials.error[i] === null ? null : h("span", { class: "small error" }, trials.errors[trials.error[i]]);
  const button = h("button", { type: "button", id: `trial-${i}`, "aria-expanded": String(view.open === i), "aria-label": t("trials.show_curve"), onclick: press }, spark(trials.curve[i]));
  return row(named(trials.labels[trials.contender[i]]), t(`trials.stage_${trials.stages[trials.stage[i]]}`), numeric(whole(trials.study[i] + 1)), numeric(whole(trials.seed[i])),
    h("td", { class: "mono" }, configuration(trialConfiguration(i)), trials.chosen.includes(i) ? h("span", { class: "small" }, ` ${t("trials.chosen")}`) : null),
    h("td", null, h("span", { class: `status ${status}` }, t(`trials.status_${status}`)), at, error), numeric(whole(trials.steps[i])),
    numeric(number(trials.validation[i])), numeric(number(trials.test[i])), numeric(number(trials.seconds[i], 3)), h("td", null, button));
}

/** A curve as small as a word. */
function spark(values) {
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const points = values.flatMap((value, index) => (value === null ? [] : [`${(58 * index) / Math.max(1, values.length - 1) + 1},${15 - (14 * (value - low)) / (high - low || 1)}`]));
  return svg("svg", { viewBox: "0 0 60 16", class: "spark", "aria-hidden": "true" }, svg("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
}

function curveRow(i, width) {
  return h("tr", null, h("td", { colspan: width }, h("div", { id: "curve", class: "picture", style: "height:240px" })));
}

function drawCurve(i) {
  const { trials } = page;
  const box = document.getElementById("curve");
  const label = trials.labels[trials.contender[i]];
  const values = trials.curve[i];
  const known = values.filter((value) => value !== null);
  if (!known.length) return box.replaceWith(h("p", null, t("trials.no_curve")));
  const { colour, mark: symbol } = style(label);
  const alt = t("trials.curve_alt", { metric, first: number(known[0]), last: number(known.at(-1)) });
  const trace = { type: "scatter", mode: "lines+markers", x: trials.grids[trials.grid[i]], y: values, line: { color: colour, width: 2 }, marker: { symbol, size: 6 } };
  return plot(box, alt, [trace], {
    title: { text: plain(t("trials.curve_title", { name: label, study: trials.study[i] + 1, configuration: configuration(trialConfiguration(i)) })), font: { size: 13 } },
    margin: { l: 56, r: 16, t: 36, b: 44 }, xaxis: axis(t("learning.axis_steps"), { rangemode: "tozero" }), yaxis: axis(t("sensitivity.axis_y", { metric })),
  });
}
