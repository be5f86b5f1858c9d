// The map: the surface as bands of equal loss, and the walks on it, each with its colour and mark.

const BANDS = 16;
const GROUND = { light: [[250, 251, 253], [188, 205, 226], [150, 172, 200]], dark: [[22, 26, 32], [52, 72, 98], [78, 100, 128]] };
const INK = { light: "#ffffff", dark: "#101317" };

const layers = ["ground", "trail", "top"].map((id) => document.getElementById(id).getContext("2d"));
const [ground, trail, front] = layers;
const map = { width: 0, height: 0, ratio: 1, drawn: 0 };

const across = (x) => ((x - state.surface.view[0]) / state.surface.view[2]) * map.width;
const up = (y) => map.height - ((y - state.surface.view[1]) / (state.surface.view[2] * 0.75)) * map.height;
const theme = () => document.documentElement.dataset.theme;

/** A canvas in pixels of the screen; drawing goes on in pixels of the page. */
function fit(context, width, height) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  context.canvas.width = Math.round(width * ratio);
  context.canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return ratio;
}

function fitMap() {
  map.width = document.getElementById("map").clientWidth;
  map.height = map.width * 0.75;
  for (const context of layers) map.ratio = fit(context, map.width, map.height);
}

/** Bands of the logarithm of the loss above its minimum, darker where it is lower, and a line between bands. */
function drawGround() {
  const { width, height } = ground.canvas;
  if (!width) return; // not laid out yet: it is drawn when it has a size
  const { value } = SURFACES[state.surface.name];
  const [left, bottom, wide] = state.surface.view;
  const least = lowest(state.surface);
  const heights = new Float64Array(width * height);
  for (let row = 0, at = 0; row < height; row++) {
    const y = bottom + (1 - (row + 0.5) / height) * wide * 0.75;
    for (let column = 0; column < width; column++, at++) heights[at] = value(left + ((column + 0.5) / width) * wide, y) - least;
  }
  const sorted = heights.filter((_, index) => index % 97 === 0).sort();
  const soft = Math.max(sorted[sorted.length >> 1] * 0.01, 1e-12);
  const low = Math.log(soft);
  const high = Math.log(sorted[sorted.length - 1] + soft);
  const band = (place) => Math.floor(((Math.log(Math.max(heights[place], 0) + soft) - low) / (high - low)) * BANDS);
  const [light, deep, line] = GROUND[theme()];
  const shades = Array.from({ length: BANDS + 2 }, (_, index) => light.map((from, part) => from + (deep[part] - from) * (1 - Math.min(index / BANDS, 1)) ** 1.3));
  const packed = ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red; // as the bytes of a pixel lie
  const [inks, edges] = [shades.map(packed), packed(line)];
  const bands = new Int8Array(width * height);
  for (let place = 0; place < bands.length; place++) bands[place] = Math.max(0, Math.min(BANDS + 1, band(place)));
  const image = ground.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let place = 0; place < bands.length; place++) {
    const right = (place + 1) % width === 0 ? place : place + 1;
    const below = place + width < bands.length ? place + width : place;
    pixels[place] = bands[place] !== bands[right] || bands[place] !== bands[below] ? edges : inks[bands[place]];
  }
  ground.putImageData(image, 0, 0);
  ground.strokeStyle = theme() === "dark" ? "#e6e9ed" : "#1b1f24";
  ground.lineWidth = 1.5;
  for (const [x, y] of state.surface.minima) {
    ground.beginPath();
    ground.arc(across(x), up(y), 5, 0, 2 * Math.PI);
    ground.moveTo(across(x) - 9, up(y));
    ground.lineTo(across(x) + 9, up(y));
    ground.moveTo(across(x), up(y) - 9);
    ground.lineTo(across(x), up(y) + 9);
    ground.stroke();
  }
}

/** What no step was walked yet is not drawn. Segments from step to step, and a dot at each step. */
function drawTrail(from, to) {
  if (from === 0) trail.clearRect(0, 0, map.width, map.height);
  for (const { path, colour } of state.walks) {
    const end = Math.min(to, path.count);
    if (end <= from) continue;
    const line = new Path2D();
    const dots = new Path2D();
    line.moveTo(across(path.x[from]), up(path.y[from]));
    for (let step = from + 1; step <= end; step++) {
      const x = across(path.x[step]);
      const y = up(path.y[step]);
      line.lineTo(x, y);
      dots.rect(x - 1.6, y - 1.6, 3.2, 3.2);
    }
    trail.lineJoin = "round";
    trail.strokeStyle = INK[theme()];
    trail.globalAlpha = 0.55;
    trail.lineWidth = 4;
    trail.stroke(line);
    trail.globalAlpha = 1;
    trail.strokeStyle = trail.fillStyle = colour;
    trail.lineWidth = 1.8;
    trail.stroke(line);
    trail.fill(dots);
  }
  map.drawn = to;
}

/** The walks up to a moment, which may lie between two steps. */
function drawWalks(moment) {
  const last = Math.floor(moment);
  if (last < map.drawn || map.drawn === 0) drawTrail(0, last);
  else if (last > map.drawn) drawTrail(map.drawn, last);
  front.clearRect(0, 0, map.width, map.height);
  for (const { path, colour, shape } of state.walks) {
    const step = Math.min(last, path.count);
    const part = step < path.count ? moment - step : 0;
    const next = Math.min(step + 1, path.count);
    const x = across(path.x[step] + part * (path.x[next] - path.x[step]));
    const y = up(path.y[step] + part * (path.y[next] - path.y[step]));
    if (part > 0) {
      front.strokeStyle = colour;
      front.lineWidth = 1.8;
      front.beginPath();
      front.moveTo(across(path.x[step]), up(path.y[step]));
      front.lineTo(x, y);
      front.stroke();
    }
    const lost = path.diverged !== null && step === path.count;
    const size = 14;
    const inside = { x: Math.max(size / 2, Math.min(map.width - size / 2, x)), y: Math.max(size / 2, Math.min(map.height - size / 2, y)) };
    front.save();
    front.translate(inside.x - size / 2, inside.y - size / 2);
    front.scale(size / 10, size / 10);
    front.lineWidth = 2.4;
    front.strokeStyle = lost ? "#d00000" : INK[theme()];
    front.stroke(shape);
    front.fillStyle = colour;
    front.fill(shape);
    front.restore();
  }
}

function placeStart() {
  const handle = document.getElementById("start");
  const [x, y] = state.start;
  handle.style.left = `${(across(x) / map.width) * 100}%`;
  handle.style.top = `${(up(y) / map.height) * 100}%`;
  handle.setAttribute("aria-label", t("landscapes.start", { x: number(x, 3), y: number(y, 3) }));
}
