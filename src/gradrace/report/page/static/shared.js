"use strict";
// What every page needs: words, numbers, elements, and how one of many is told from the others.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const catalogues = read("catalogues");

/* ---- words and numbers ---- */

function t(key, values = {}) {
  const pattern = catalogues[state.lang][key];
  return pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const locale = () => t("page.locale");

/** To make one takes longer than to use it many times. */
const formats = new Map();

function format(options) {
  const key = JSON.stringify([state.lang, options]);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(locale(), options));
  return formats.get(key);
}

/** Four significant digits, as in the terminal; very small and very large ones with a power of ten. */
function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const notation = size !== 0 && (size < 1e-3 || size >= 1e6) ? "scientific" : "standard";
  return format({ maximumSignificantDigits: digits, notation }).format(value + 0).replace("E", "e");
}

const whole = (value) => format({}).format(value);
const percent = (share) => format({ style: "percent" }).format(share);
const listed = (names) => new Intl.ListFormat(locale(), { type: "conjunction" }).format(names);

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

const legend = (text) => h("p", { class: "legend" }, text);

/* ---- one of many: a colour of Okabe and Ito's palette, a mark and a line style each ---- */

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#B8A800"];
const MARKS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SHAPES = {
  circle: "M1,5a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", square: "M1.5,1.5h7v7h-7z", diamond: "M5,0l5,5l-5,5l-5,-5z",
  "triangle-up": "M5,0.5l5,9h-10z", cross: "M3.5,0.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z", x: "M2,0l3,3l3,-3l2,2l-3,3l3,3l-2,2l-3,-3l-3,3l-2,-2l3,-3l-3,-3z",
  star: "M5,0l1.3,3.6h3.7l-3,2.3l1.1,3.8l-3.1,-2.3l-3.1,2.3l1.1,-3.8l-3,-2.3h3.7z", pentagon: "M5,0l5,3.8l-2,6h-6l-2,-6z",
};

function styleOf(index) {
  const round = Math.floor(index / COLOURS.length);
  return {
    colour: COLOURS[index % COLOURS.length],
    mark: MARKS[(index + round) % MARKS.length],
    dash: DASHES[(index + round) % DASHES.length],
  };
}

function markOf(index) {
  const { colour, mark: shape } = styleOf(index);
  return svg("svg", { class: "mark", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("path", { d: SHAPES[shape], fill: colour }));
}

/* ---- languages and themes ---- */

/** Every text that stands in the page itself, in the language of now, and a button for each language. */
function drawTexts(title, footer, again) {
  document.documentElement.lang = state.lang;
  document.title = title;
  for (const node of document.querySelectorAll("[data-w]")) node.textContent = t(node.dataset.w);
  for (const node of document.querySelectorAll("[data-w-label]")) node.setAttribute("aria-label", t(node.dataset.wLabel));
  put("footer", footer);
  const speak = (name) => () => {
    state.lang = name;
    again();
    document.querySelector(`#languages [lang="${name}"]`).focus();
  };
  put("languages", Object.keys(catalogues).map((name) => h("button", { type: "button", lang: name, "aria-pressed": String(name === state.lang), onclick: speak(name) }, catalogues[name]["page.name"])));
}

/** The system's theme until the button is pressed; `paint` is called with each that comes after the first. */
function followTheme(paint) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => paint(root.dataset.theme === "dark" ? "light" : "dark"));
  dark.addEventListener("change", () => paint(dark.matches ? "dark" : "light"));
  root.dataset.theme = dark.matches ? "dark" : "light";
}
