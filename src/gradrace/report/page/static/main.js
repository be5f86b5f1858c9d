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
  drawSeen();
}

const drawSeen = () => seen.forEach((name) => IN_VIEW[name]());

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

followTheme(paint);
drawEverything();

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || seen.has(target.id)) continue;
    seen.add(target.id);
    IN_VIEW[target.id]();
  }
}, { rootMargin: "400px" });

/** Room for a picture before it is drawn, so that nothing jumps. */
for (const name of Object.keys(IN_VIEW)) {
  put(`${name}-body`, picture(400));
  watcher.observe(document.getElementById(name));
}

// On paper everything is there, whether it was scrolled to or not, and dark on light.
let onScreen = null;
addEventListener("beforeprint", () => {
  Object.keys(IN_VIEW).forEach((name) => seen.add(name));
  onScreen = document.documentElement.dataset.theme;
  paint("light");
});
addEventListener("afterprint", () => paint(onScreen));
