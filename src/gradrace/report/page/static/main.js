// Language, theme, the row of contenders, and drawing each part when it comes into view.

const AT_ONCE = [drawVerdict, drawStandings, drawPairs, drawTarget, drawCost, drawLuck, drawTrials, drawCards, drawHow];
const IN_VIEW = { sensitivity: drawSensitivity, learning: drawLearning, budget: drawBudget, rungs: drawRungs };
const seen = new Set();

function drawChips() {
  put("chips", h("span", { class: "small" }, t("page.contenders")), page.labels.map((label) => {
    const hidden = state.hidden.has(label);
    const press = () => {
      if (!state.hidden.delete(label)) state.hidden.add(label);
      drawChips();
      document.querySelectorAll("#chips button")[page.labels.indexOf(label)].focus();
    };
    return h("button", { type: "button", "aria-pressed": String(!hidden), title: t(hidden ? "page.show" : "page.hide", { name: label }), onclick: press }, named(label));
  }));
  leaveRoomAbove();
  drawSeen();
}

/** What stands still above must not cover the title of what was jumped to. */
function leaveRoomAbove() {
  const above = [document.querySelector(".bar"), document.getElementById("chips")].filter((box) => getComputedStyle(box).position === "sticky");
  document.documentElement.style.scrollPaddingTop = `${above.reduce((sum, box) => sum + box.offsetHeight, 12)}px`;
}

function drawSeen() {
  const restore = asItIs();
  seen.forEach((name) => IN_VIEW[name]());
  restore();
}

function drawWords() {
  drawTexts(t("page.title", { workload: summary.workload.name, race: summary.race.id }), t("page.footer", { version: summary.gradrace }), drawEverything);
}

function drawEverything() {
  drawWords();
  AT_ONCE.forEach((draw) => draw());
  drawChips();
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").title = t("page.theme");
  drawSeen();
  if (view.open !== null) drawCurve(view.open);
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || seen.has(target.id)) continue;
    seen.add(target.id);
    IN_VIEW[target.id]();
  }
}, { rootMargin: "400px" });

/** The whole page, for the first time. */
function begin(found) {
  take(found);
  followTheme(paint);
  drawEverything();
  // Room for a picture before it is drawn, so that nothing jumps.
  for (const name of Object.keys(IN_VIEW)) {
    put(`${name}-body`, picture(name, 400));
    watcher.observe(document.getElementById(name));
  }
}

/** The page again with what has become known since; what the reader has opened, chosen and typed stays. */
function renew(found) {
  const restore = asItIs();
  const open = view.open === null ? null : trialKey(view.open);
  const chosen = page.labels[view.contender];
  const before = page.labels.join("\n");
  take(found);
  view.open = open === null ? null : everyTrial().find((i) => trialKey(i) === open) ?? null;
  if (chosen !== undefined) view.contender = page.labels.indexOf(chosen);
  if (page.labels.join("\n") === before) drawRows();
  else drawTrials();
  AT_ONCE.filter((draw) => draw !== drawTrials && draw !== drawCards).forEach((draw) => draw());
  drawChips();
  restore();
}

/** Remembers what is unfolded, how far it is scrolled and where the keyboard is; the function that it returns restores it. */
function asItIs() {
  const found = (selector) => [...document.querySelectorAll("main [id$='-body'], #chips, #rows")].map((part) => [part.id, [...part.querySelectorAll(selector)]]);
  const again = (id, selector, index) => document.getElementById(id)?.querySelectorAll(selector)[index];
  const active = document.activeElement;
  const [folds, boxes, keys] = ["details", ".scroll, pre", "a, button, input, select, summary, [tabindex]"];
  const open = found(folds).flatMap(([id, all]) => all.map((node, index) => [id, index, node.open]));
  const scrolled = found(boxes).flatMap(([id, all]) => all.flatMap((node, index) => (node.scrollLeft || node.scrollTop ? [[id, index, node.scrollLeft, node.scrollTop]] : [])));
  const focus = found(keys).flatMap(([id, all]) => (all.includes(active) ? [[id, all.indexOf(active)]] : []));
  return () => {
    for (const [id, index, was] of open) {
      const node = again(id, folds, index);
      if (node) node.open = was;
    }
    for (const [id, index, left, top] of scrolled) again(id, boxes, index)?.scrollTo({ left, top, behavior: "instant" });
    if (!active?.isConnected) focus.forEach(([id, index]) => again(id, keys, index)?.focus({ preventScroll: true }));
  };
}

// On paper everything is there, whether it was scrolled to or not, and dark on light.
let onScreen = null;
addEventListener("beforeprint", () => {
  Object.keys(IN_VIEW).forEach((name) => seen.add(name));
  onScreen = document.documentElement.dataset.theme;
  paint("light");
});
addEventListener("afterprint", () => paint(onScreen));

if (document.getElementById("document")) begin(read("document"));
