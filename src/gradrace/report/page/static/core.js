// What every part of a race's page needs: the document, intervals, tables, and how contenders are told apart.

let page = null;
let summary = null;
let rows = [];
let metric = "";
let coloured = []; // labels in the order of their colours, which they keep when standings put them into another
const state = { lang: document.documentElement.dataset.defaultLang, hidden: new Set() };

/** What the page shows from here on. */
function take(found) {
  page = found;
  summary = page.summary;
  rows = summary.standings;
  metric = summary.workload.metric;
  if (!page.labels.every((label) => coloured.includes(label))) coloured = page.labels;
}

const interval = (ends) => (ends ? `[${number(ends[0])}, ${number(ends[1])}]` : "");
const range = (ends) => (ends ? `${number(ends[0], 2)} ${t("page.to")} ${number(ends[1], 2)}` : "–");

function configuration(values) {
  return Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} = ${number(value, 3)}`)
    .join(", ");
}

/** In place of a picture that would be empty. */
const nothing = () => h("p", null, t(rows.length ? "sentence.nothing_worked" : "standings.none"));

/** A table in a box that scrolls sideways where it is too wide, and can be scrolled by keyboard. */
function table(name, head, body, attributes = {}) {
  const cells = head.map((cell) => (cell instanceof Node ? cell : h("th", { scope: "col" }, cell)));
  // A column of numbers has its name above its numbers.
  const cellsOf = body[0]?.cells ?? [];
  cells.forEach((cell, index) => cell.classList.toggle("numeric", cellsOf[index]?.classList.contains("numeric") ?? false));
  const made = h("table", attributes, h("caption", { class: "unseen" }, name), h("thead", null, h("tr", null, cells)), h("tbody", null, body));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, made);
}

const row = (...cells) => h("tr", null, cells.map((cell) => (cell instanceof Node && /^T[DH]$/.test(cell.tagName) ? cell : h("td", null, cell))));
const numeric = (text) => h("td", { class: "numeric" }, text);

const style = (label) => styleOf(coloured.indexOf(label));
const mark = (label) => markOf(coloured.indexOf(label));
const named = (label) => h("span", { class: "named", title: label }, mark(label), " ", label);
const shown = () => page.labels.filter((label) => !state.hidden.has(label));
