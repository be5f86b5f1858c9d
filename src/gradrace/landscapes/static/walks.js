// The clock, and drawing all of it.

const PACE = 30; // steps a second at speed 1
let before = null;
let told = 0;

function drawNow() {
  placeStart();
  drawSettings();
  drawTable();
  drawWalks(state.moment);
  drawCharts();
  drawClock();
}

/** What moves with time and nothing else. */
function drawClock() {
  byId("time").value = Math.floor(state.moment);
  byId("time-told").textContent = t("landscapes.step_of", { step: whole(Math.floor(state.moment)), steps: whole(state.surface.steps) });
  byId("play").textContent = t(state.playing ? "landscapes.pause" : "landscapes.play");
  byId("play").hidden = still.matches;
  coverCharts();
}

function frame(now) {
  if (!state.playing) return;
  if (state.held) {
    before = now;
    requestAnimationFrame(frame);
    return;
  }
  state.moment = Math.min(state.moment + ((before === null ? 0 : now - before) / 1000) * PACE * state.speed, state.surface.steps);
  before = now;
  if (state.moment >= state.surface.steps) state.playing = false;
  drawWalks(state.moment);
  coverCharts();
  // Numbers that change at every frame cannot be read.
  if (now - told > 100 || !state.playing) {
    told = now;
    tellLosses();
    drawClock();
  }
  if (state.playing) requestAnimationFrame(frame);
  else tell();
}

function play() {
  if (state.playing) return;
  state.playing = true;
  before = null;
  requestAnimationFrame(frame);
}

/** From the start; where motion is not wanted, the whole walk at once. */
function begin() {
  state.moment = still.matches ? state.surface.steps : 0;
  if (still.matches) go(state.surface.steps);
  else play();
}

/** Stops at a step. */
function go(step) {
  state.playing = state.held = false;
  state.moment = Math.max(0, Math.min(state.surface.steps, step));
  drawWalks(state.moment);
  tellLosses();
  drawClock();
  tell();
}

function drawCards() {
  put("cards", state.walks.map(({ optimizer, index }) => h("article", { class: "card" },
    h("h3", null, markOf(index), " ", said(optimizer, "title")),
    h("p", null, said(optimizer, "idea")),
    h("pre", { tabindex: "0", role: "region", "aria-label": `${t("landscapes.formula")}: ${optimizer.name}` }, optimizer.formula.join("\n")))));
  const left = Object.entries(page.left_out);
  put("left-out", left.length ? h("p", { class: "legend" }, t("landscapes.left_out"), " ", left.map(([name, reason]) => t("landscapes.left_out_one", { name, reason })).join(" ")) : null);
}

function drawEverything() {
  drawTexts(t("landscapes.title"), t("landscapes.footer", { version: page.gradrace }), drawEverything);
  drawChoices();
  fitMap();
  drawGround();
  compute();
  drawNow();
  drawCards();
  tell();
}

followTheme((theme) => {
  document.documentElement.dataset.theme = theme;
  drawEverything();
});
slide("rate", (value) => (state.factor = value));
slide("momentum", (value) => (state.momentum = value));
slide("noise", (value) => (state.noise = value));
byId("rates").addEventListener("change", () => { changing(() => (state.rates = byId("rates").value)); changed(); });
byId("dice").addEventListener("click", () => { changing(() => (state.seed += 1)); changed(); });
byId("reset").addEventListener("click", () => { changing(reset); changed(); begin(); });
byId("play").addEventListener("click", () => {
  if (state.playing) go(state.moment);
  else {
    if (state.moment >= state.surface.steps) state.moment = 0;
    play();
    drawClock();
  }
});
byId("again").addEventListener("click", () => (still.matches ? go(0) : begin()));
byId("back").addEventListener("click", () => go(Math.ceil(state.moment) - 1));
byId("on").addEventListener("click", () => go(Math.floor(state.moment) + 1));
byId("end").addEventListener("click", () => go(state.surface.steps));
byId("time").addEventListener("input", () => go(Number(byId("time").value)));
byId("speed").addEventListener("change", () => (state.speed = Number(byId("speed").value)));
still.addEventListener("change", () => { if (still.matches) go(state.surface.steps); else drawClock(); });
new ResizeObserver(() => {
  if (byId("map").clientWidth === map.width) return;
  fitMap();
  drawGround();
  map.drawn = 0;
  drawNow();
}).observe(byId("map"));

reset();
listenToMap();
drawEverything();
begin();
