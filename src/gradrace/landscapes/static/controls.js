// What the reader sets: surface, start, optimizers, rates, momentum, noise, and the clock.

const byId = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const tuned = new Map();

const state = {
  lang: document.documentElement.dataset.defaultLang,
  surface: page.surfaces.find((surface) => surface.name === page.first),
  start: [0, 0],
  shown: new Set(page.shown),
  factor: 0, // a power of ten on every learning rate
  rates: "tuned",
  momentum: null, // each its own
  noise: 0,
  seed: 0,
  walks: [],
  moment: 0, // the step that is shown, with its part
  playing: false,
  held: false, // while a setting changes, time stands still
  speed: 1,
};

const said = (thing, field) => (thing.said[state.lang] ?? thing)[field];

/** The learning rate of an optimizer, before the factor. */
function ownRate(optimizer) {
  if (state.rates === "default") return optimizer.hyper.lr;
  const key = `${state.surface.name} ${optimizer.name}`;
  if (!tuned.has(key)) tuned.set(key, tunedRate(state.surface, optimizer, optimizer.hyper));
  return tuned.get(key);
}

function hyperOf(optimizer) {
  const hyper = { ...optimizer.hyper };
  if (optimizer.rates) hyper.lr = ownRate(optimizer) * 10 ** state.factor;
  if (state.momentum !== null && optimizer.momentum) hyper[optimizer.momentum] = state.momentum;
  return hyper;
}

/** Walks anew with what is set now. */
function compute() {
  const { start, noise, surface } = state;
  const thrown = dice(state.seed, surface.steps);
  state.walks = page.optimizers
    .map((optimizer, index) => ({ optimizer, index }))
    .filter(({ optimizer }) => state.shown.has(optimizer.name))
    .map(({ optimizer, index }) => {
      const hyper = hyperOf(optimizer);
      const { colour, mark, dash } = styleOf(index);
      const path = walk(surface, optimizer.name, { start, hyper, noise, thrown, steps: surface.steps });
      return { optimizer, index, hyper, path, colour, dash, shape: new Path2D(SHAPES[mark]) };
    });
  map.drawn = 0;
}

/** The surface's own settings. */
function reset() {
  state.start = [...state.surface.start];
  Object.assign(state, { factor: 0, rates: "tuned", momentum: null, noise: state.surface.noise, seed: 0 });
}

function drawChoices() {
  put("surfaces", page.surfaces.map((surface) => h("button", { type: "button", "aria-pressed": String(surface === state.surface), onclick: () => choose(surface) }, said(surface, "title"))));
  put("optimizers", page.optimizers.map(({ name }, index) => h("button", { type: "button", "aria-pressed": String(state.shown.has(name)), onclick: () => toggle(name, index) }, h("span", { class: "named" }, markOf(index), " ", name))));
}

function choose(surface) {
  state.surface = surface;
  reset();
  drawEverything();
  byId("surfaces").children[page.surfaces.indexOf(surface)].focus();
  begin();
}

function toggle(name, index) {
  if (!state.shown.delete(name)) state.shown.add(name);
  drawEverything();
  byId("optimizers").children[index].focus();
}

/** What the sliders stand at, in words. */
function drawSettings() {
  const { surface } = state;
  byId("rate").value = state.factor;
  byId("rate-told").textContent = `×${number(10 ** state.factor, 2)}`;
  byId("rates").value = state.rates;
  byId("momentum").value = state.momentum ?? 0.9;
  byId("momentum-told").textContent = state.momentum === null ? t("landscapes.momentum_own") : number(state.momentum, 3);
  byId("noise").value = state.noise;
  byId("noise-told").textContent = number(state.noise, 2);
  byId("dice").disabled = state.noise === 0 && surface.seen.every((share) => share === 1);
  byId("time").max = surface.steps;
  put("look", said(surface, "look"));
  put("formula", `f(x, y) = ${surface.formula}`);
}

/** The walks in a table: what each was set to, and how low it is now. */
function drawTable() {
  const head = ["optimizer", "rate", "momentum", "loss"].map((key) => h("th", { scope: "col" }, t(`landscapes.${key}`)));
  const body = state.walks.map(({ optimizer, index, hyper }) =>
    h("tr", null,
      h("th", { scope: "row" }, markOf(index), " ", optimizer.name),
      h("td", { class: "numeric" }, number(hyper.lr, 2)),
      h("td", { class: "numeric" }, optimizer.momentum ? number(hyper[optimizer.momentum], 3) : "–"),
      h("td", { class: "numeric loss" })));
  put("walks", h("thead", null, h("tr", null, head)), h("tbody", null, body));
  tellLosses();
}

function tellLosses() {
  const least = lowest(state.surface);
  document.querySelectorAll("#walks .loss").forEach((cell, index) => {
    const { path } = state.walks[index];
    const step = Math.min(Math.floor(state.moment), path.count);
    const gone = path.diverged !== null && step === path.count;
    cell.textContent = gone ? t("landscapes.diverged", { step: whole(path.diverged) }) : number(Math.max(path.loss[step] - least, 0), 2);
    cell.classList.toggle("error", gone);
  });
}

/** What the map shows now, for those who do not see it. */
function tell() {
  const step = Math.floor(state.moment);
  const least = lowest(state.surface);
  const ends = state.walks.map(({ optimizer, path }) => {
    const at = Math.min(step, path.count);
    return path.diverged !== null && at === path.count ? `${optimizer.name} ${t("landscapes.diverged", { step: whole(path.diverged) })}` : `${optimizer.name} ${number(Math.max(path.loss[at] - least, 0), 2)}`;
  });
  const words = t("landscapes.map", { surface: said(state.surface, "title"), step: whole(step), losses: ends.join(", ") });
  byId("top").setAttribute("aria-label", words);
  byId("told").textContent = state.playing ? "" : words;
}

/** While a setting changes, the whole walk is shown; when it has changed, a walk that was playing begins again. */
function changing(act) {
  act();
  state.held = true;
  compute();
  state.moment = state.surface.steps;
  drawNow();
}

function slide(id, act) {
  byId(id).addEventListener("input", () => changing(() => act(Number(byId(id).value))));
  byId(id).addEventListener("change", changed);
}

function changed() {
  state.held = false;
  if (state.playing) state.moment = 0;
  tell();
}

function moveStart(x, y) {
  const [left, bottom, width] = state.surface.view;
  changing(() => (state.start = [Math.max(left, Math.min(left + width, x)), Math.max(bottom, Math.min(bottom + width * 0.75, y))]));
}

function listenToMap() {
  const box = byId("map");
  const [horizontal, vertical] = [{ ArrowLeft: -1, ArrowRight: 1 }, { ArrowDown: -1, ArrowUp: 1 }];
  let held = null;
  const follow = (event) => {
    const frame = box.getBoundingClientRect();
    const [left, bottom, width] = state.surface.view;
    const unit = width / frame.width;
    moveStart(left + (event.clientX - frame.left) * unit, bottom + (frame.bottom - event.clientY) * unit);
  };
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    // On a touch screen only the handle is taken, so that the page can still be scrolled by the map.
    if (event.pointerType === "touch" && event.target.id !== "start") return;
    held = event.pointerId;
    box.setPointerCapture(held);
    byId("start").focus({ preventScroll: true });
    event.preventDefault();
    follow(event);
  });
  box.addEventListener("pointermove", (event) => event.pointerId === held && follow(event));
  for (const name of ["pointerup", "pointercancel"]) {
    box.addEventListener(name, (event) => {
      if (event.pointerId !== held) return;
      held = null;
      changed();
    });
  }
  byId("start").addEventListener("keydown", (event) => {
    const [x, y] = [horizontal[event.key] ?? 0, vertical[event.key] ?? 0];
    if (!x && !y) return;
    event.preventDefault();
    const pace = (state.surface.view[2] / 100) * (event.shiftKey ? 5 : 1);
    moveStart(state.start[0] + x * pace, state.start[1] + y * pace);
    changed();
  });
}
