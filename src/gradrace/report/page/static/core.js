"use strict";
// What every part needs: the document, words, numbers, elements, and how contenders are told apart.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const page = read("document");
const catalogues = read("catalogues");
const summary = page.summary;
const rows = summary.standings;
const metric = summary.workload.metric;
const state = { lang: document.documentElement.dataset.defaultLang, hidden: new Set() };

/* ---- words and numbers ---- */

function t(key, values = {}) {
  const pattern = catalogues[state.lang][key];
  return pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const locale = () => t("page.locale");

/** Four significant digits, as in the terminal; very small and very large ones with a power of ten. */
function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const notation = size !== 0 && (size < 1e-3 || size >= 1e6) ? "scientific" : "standard";
  return new Intl.NumberFormat(locale(), { maximumSignificantDigits: digits, notation }).format(value + 0).replace("E", "e");
}

const whole = (value) => new Intl.NumberFormat(locale()).format(value);
const percent = (share) => new Intl.NumberFormat(locale(), { style: "percent" }).format(share);
const listed = (names) => new Intl.ListFormat(locale(), { type: "conjunction" }).format(names);
const interval = (ends) => (ends ? `[${number(ends[0])}, ${number(ends[1])}]` : "");
const range = (ends) => (ends ? `${number(ends[0], 2)} ${t("page.to")} ${number(ends[1], 2)}` : "–");

function configuration(values) {
  return Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} = ${number(value, 3)}`)
    .join(", ");
}

/* ---- elements: text is only ever set as text ---- */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function put(id, ...children) {
  document.getElementById(id).replaceChildren(...children.flat().filter(Boolean));
}

/** In place of a picture that would be empty. */
const nothing = () => h("p", null, t(rows.length ? "sentence.nothing_worked" : "standings.none"));

const legend = (text) => h("p", { class: "legend" }, text);

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

/* ---- contenders: a colour of Okabe and Ito's palette, a mark and a line style each ---- */

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#B8A800"];
const MARKS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SHAPES = {
  circle: "M1,5a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", square: "M1.5,1.5h7v7h-7z", diamond: "M5,0l5,5l-5,5l-5,-5z",
  "triangle-up": "M5,0.5l5,9h-10z", cross: "M3.5,0.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z", x: "M2,0l3,3l3,-3l2,2l-3,3l3,3l-2,2l-3,-3l-3,3l-2,-2l3,-3l-3,-3z",
  star: "M5,0l1.3,3.6h3.7l-3,2.3l1.1,3.8l-3.1,-2.3l-3.1,2.3l1.1,-3.8l-3,-2.3h3.7z", pentagon: "M5,0l5,3.8l-2,6h-6l-2,-6z",
};

function style(label) {
  const index = page.labels.indexOf(label);
  const round = Math.floor(index / COLOURS.length);
  return {
    colour: COLOURS[index % COLOURS.length],
    mark: MARKS[(index + round) % MARKS.length],
    dash: DASHES[(index + round) % DASHES.length],
  };
}

function mark(label) {
  const { colour, mark: shape } = style(label);
  return svg("svg", { class: "mark", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("path", { d: SHAPES[shape], fill: colour }));
}

const named = (label) => h("span", { class: "named", title: label }, mark(label), " ", label);
const shown = () => page.labels.filter((label) => !state.hidden.has(label));
