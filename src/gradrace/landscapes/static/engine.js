// Walks down a surface. Nothing here needs a page, so the tests run it without one.

const TRIALS = 49; // learning rates that are tried for each optimizer when its rate is tuned
const LEAP = 1 / 12; // widths of the view that no step of a tuned walk is longer than: longer ones cannot be followed
const WINDOW = 10; // steps over which the effective step is averaged
const FAR = 1e3; // widths of the view from its middle at which a walk counts as diverged

/** A number in (0, 1) that depends on nothing but the seed, the step and which of the step's numbers it is. */
function uniform(seed, step, which) {
  let bits = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(step + 1, 0x85ebca77) ^ Math.imul(which + 1, 0xc2b2ae3d);
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (((bits ^ (bits >>> 15)) >>> 0) + 0.5) / 4294967296;
}

/** What happens to the gradient of each step: noise of standard deviation 1 for each coordinate, and a chance. */
function dice(seed, steps) {
  const noise = [new Float64Array(steps + 1), new Float64Array(steps + 1)];
  const chance = new Float64Array(steps + 1);
  for (let step = 1; step <= steps; step++) {
    const length = Math.sqrt(-2 * Math.log(uniform(seed, step, 0)));
    const turn = 2 * Math.PI * uniform(seed, step, 1);
    noise[0][step] = length * Math.cos(turn);
    noise[1][step] = length * Math.sin(turn);
    chance[step] = uniform(seed, step, 2);
  }
  return { noise, chance };
}

/** The length of the gradient at a surface's own start: the unit of its noise. */
function slopeAtStart(surface) {
  const slope = [0, 0];
  SURFACES[surface.name].gradient(surface.start[0], surface.start[1], slope);
  return Math.hypot(slope[0], slope[1]);
}

/**
 * One walk of one optimizer.
 *
 * options: start [x, y]; hyper by name; noise in units of the slope at the start; thrown: from dice; steps.
 * Returns columns by step, 0 being the start: x, y, loss; and of the step that led there the gradient as the optimizer
 * saw it (gx, gy) and its update (ux, uy). `count` is the last step; `diverged` the step at which it was lost, or null.
 */
function walk(surface, name, options) {
  const { value, gradient } = SURFACES[surface.name];
  const rule = RULES[name];
  const { start, hyper, thrown, steps } = options;
  const column = () => new Float64Array(steps + 1);
  const path = { x: column(), y: column(), loss: column(), gx: column(), gy: column(), ux: column(), uy: column(), count: steps, diverged: null };
  const state = new Float64Array(rule.size);
  const slope = [0, 0];
  const update = [0, 0];
  const spread = options.noise * slopeAtStart(surface);
  const [left, bottom, width] = surface.view;
  let [x, y] = start;
  rule.init(x, y, state);
  path.x[0] = x;
  path.y[0] = y;
  path.loss[0] = value(x, y);
  for (let step = 1; step <= steps; step++) {
    gradient(x, y, slope);
    const gx = (thrown.chance[step] < surface.seen[0] ? slope[0] : 0) + spread * thrown.noise[0][step];
    const gy = (thrown.chance[step] < surface.seen[1] ? slope[1] : 0) + spread * thrown.noise[1][step];
    rule.step(gx, gy, x, y, state, hyper, step, update);
    x += update[0];
    y += update[1];
    const far = Math.max(Math.abs(x - left - width / 2), Math.abs(y - bottom - width * 0.375)) > FAR * width;
    if (far || !Number.isFinite(x + y)) {
      path.count = step - 1;
      path.diverged = step;
      break;
    }
    path.x[step] = x;
    path.y[step] = y;
    path.loss[step] = value(x, y);
    path.gx[step] = gx;
    path.gy[step] = gy;
    path.ux[step] = update[0];
    path.uy[step] = update[1];
  }
  return path;
}

const lowest = (surface) => Math.min(...surface.minima.map(([x, y]) => SURFACES[surface.name].value(x, y)));

/** How good a walk is: the mean over its steps of the decades that its loss has fallen by, 4 at most. Less is better. */
function score(surface, path) {
  const leaps = path.ux.some((moved, step) => Math.hypot(moved, path.uy[step]) > LEAP * surface.view[2]);
  if (path.diverged !== null || leaps) return Infinity;
  const least = lowest(surface);
  const first = path.loss[0] - least;
  let total = 0;
  for (let step = 1; step <= path.count; step++) total += Math.log10(Math.max((path.loss[step] - least) / first, 1e-4));
  return total / path.count;
}

/** The learning rate whose walk from the surface's own start is best, of TRIALS over the optimizer's range. */
function tunedRate(surface, optimizer, hyper) {
  const [low, high] = optimizer.rates.map(Math.log10);
  const thrown = dice(0, surface.steps);
  let best = { rate: optimizer.hyper.lr, score: Infinity };
  for (let trial = 0; trial < TRIALS; trial++) {
    const rate = 10 ** (low + ((high - low) * trial) / (TRIALS - 1));
    const options = { start: surface.start, hyper: { ...hyper, lr: rate }, noise: surface.noise, thrown, steps: surface.steps };
    const found = score(surface, walk(surface, optimizer.name, options));
    if (found < best.score) best = { rate, score: found };
  }
  return best.rate;
}

/** Of each step how far the optimizer moved for each unit of gradient, averaged over the last WINDOW; NaN without any. */
function effectiveSteps(path, axis) {
  const moved = path[`u${axis}`];
  const seen = path[`g${axis}`];
  const found = new Float64Array(path.count + 1).fill(NaN);
  for (let step = 1; step <= path.count; step++) {
    let up = 0;
    let down = 0;
    for (let at = Math.max(1, step - WINDOW + 1); at <= step; at++) {
      up += Math.abs(moved[at]);
      down += Math.abs(seen[at]);
    }
    if (down > 0 && up > 0) found[step] = up / down;
  }
  return found;
}
