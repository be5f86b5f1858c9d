"""How smoothly the landscapes move in Chromium: ``python benchmarks/landscape_frames.py [--chromium PATH]``.

Six optimizers walk for five seconds at half speed, once on each surface; frames are counted as the browser gives them.
Beside that, what drawing one frame costs, and what one move of the start point costs, all of it computed anew.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

from gradrace.landscapes import FIRST_SHOWN, Landscapes, page
from gradrace.landscapes.surfaces import surfaces

MEASURE = """async () => {
  state.speed = 0.5;
  begin();
  const times = [];
  await new Promise((done) => {
    const frame = (now) => {
      times.push(now);
      if (now - times[0] < 5000) requestAnimationFrame(frame);
      else done();
    };
    requestAnimationFrame(frame);
  });
  const gaps = times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b);
  const cost = (act, count) => {
    const spent = [];
    for (let index = 0; index < count; index++) {
      const before = performance.now();
      act(index);
      spent.push(performance.now() - before);
    }
    return spent.sort((a, b) => a - b)[Math.floor(count * 0.95)];
  };
  const frames = cost((index) => { drawWalks(60 + index / 10); coverCharts(); }, 200);
  const [x, y] = state.start;
  const moves = cost((index) => moveStart(x + index / 1000, y), 60);
  const rate = (1000 * gaps.length) / (times.at(-1) - times[0]);
  return { frames: rate, gap: gaps[Math.floor(gaps.length * 0.99)], cost: frames, move: moves };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    path = parser.parse_args().chromium
    torch.set_num_threads(1)
    print(f"{len(FIRST_SHOWN)} optimizers. Milliseconds that 99 % of gaps and 95 % of costs are below:")
    print("| surface | frames a second | gap | drawing a frame | moving the start |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name in surfaces():
            file = Path(folder) / f"{name}.html"
            file.write_text(page(Landscapes(first=name)), encoding="utf-8")
            shown = browser.new_page(viewport={"width": 1280, "height": 900})
            shown.goto(file.as_uri())
            shown.wait_for_timeout(1000)
            found = shown.evaluate(MEASURE)
            print(f"| {name} | " + " | ".join(f"{found[key]:.1f}" for key in ("frames", "gap", "cost", "move")) + " |")
            shown.close()
        browser.close()


if __name__ == "__main__":
    main()
