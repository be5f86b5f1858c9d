// Beside the map: the effective step of each coordinate and the loss, over steps. Drawn once for each set of walks;
// what is still to come is covered, and the cover moves.

const MARGIN = { left: 46, right: 10, top: 8, bottom: 24 };
const DASHED = { solid: [], dash: [7, 4], dot: [2, 3], dashdot: [7, 3, 2, 3], longdash: [11, 4], longdashdot: [11, 3, 2, 3] };
const CHARTS = ["x", "y", "loss"];

/** The decades that hold all but the wildest hundredth of the values, at least one. */
function decades(series, floor) {
  const values = series.flatMap((column) => [...column]).filter((value) => value > 0 && Number.isFinite(value)).sort((a, b) => a - b);
  if (!values.length) return [-1, 1];
  const low = Math.floor(Math.log10(Math.max(values[Math.floor(values.length * 0.01)], floor)));
  return [low, Math.max(low + 1, Math.ceil(Math.log10(values[Math.floor((values.length - 1) * 0.99)])))];
}

function drawChart(id, series, [low, high]) {
  const canvas = document.getElementById(`chart-${id}`);
  const context = canvas.getContext("2d");
  const [width, height] = [canvas.parentElement.clientWidth, 190];
  fit(context, width, height);
  context.clearRect(0, 0, width, height);
  const colours = getComputedStyle(document.documentElement);
  const [quiet, grid] = ["--quiet", "--grid"].map((name) => colours.getPropertyValue(name));
  const steps = state.surface.steps;
  const at = (step) => MARGIN.left + (step / steps) * (width - MARGIN.left - MARGIN.right);
  const over = (value) => MARGIN.top + ((high - Math.log10(value)) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = quiet;
  context.strokeStyle = grid;
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const every = Math.ceil((high - low) / 5);
  for (let decade = low; decade <= high; decade += every) {
    const y = over(10 ** decade);
    context.fillText(number(10 ** decade, 1), MARGIN.left - 6, y);
    context.beginPath();
    context.moveTo(MARGIN.left, y);
    context.lineTo(width - MARGIN.right, y);
    context.stroke();
  }
  context.textBaseline = "alphabetic";
  for (const step of [0, steps / 2, steps]) {
    context.textAlign = step === 0 ? "left" : step === steps ? "right" : "center";
    context.fillText(whole(step), at(step), height - 7);
  }
  context.save();
  context.beginPath();
  context.rect(MARGIN.left, MARGIN.top, width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom);
  context.clip();
  context.lineWidth = 1.8;
  series.forEach((column, index) => {
    const { colour, dash } = state.walks[index];
    context.strokeStyle = colour;
    context.setLineDash(DASHED[dash]);
    context.beginPath();
    let down = false;
    column.forEach((value, step) => {
      if (!(value > 0)) return (down = false);
      const y = over(Math.max(value, 10 ** (low - 1)));
      if (down) context.lineTo(at(step), y);
      else context.moveTo(at(step), y);
      return (down = true);
    });
    context.stroke();
  });
  context.restore();
}

function drawCharts() {
  const { walks, surface } = state;
  const x = walks.map(({ path }) => effectiveSteps(path, "x"));
  const y = walks.map(({ path }) => effectiveSteps(path, "y"));
  const shared = decades([...x, ...y], 1e-6); // one scale for both, so that coordinates can be compared
  drawChart("x", x, shared);
  drawChart("y", y, shared);
  const least = lowest(surface);
  const loss = walks.map(({ path }) => path.loss.slice(0, path.count + 1).map((value) => value - least));
  drawChart("loss", loss, decades(loss, 1e-6));
  coverCharts();
}

function coverCharts() {
  const share = Math.min(state.moment / state.surface.steps, 1);
  for (const id of CHARTS) document.getElementById(`cover-${id}`).style.transform = `scaleX(${1 - share})`;
}
