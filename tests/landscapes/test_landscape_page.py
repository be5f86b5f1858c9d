"""The file and the command: what they hold, what they refuse, and that nothing comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from gradrace import cli
from gradrace.errors import GradraceError, SpecError
from gradrace.landscapes import FIRST_SHOWN, Landscapes, page, pictures, served
from gradrace.landscapes.surfaces import surfaces
from gradrace.optimizers import optimizers

LARGEST = 1_000_000

NORMALIZED = re.search(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.fixture(scope="module")
def html() -> str:
    return page(Landscapes())


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["landscapes", *words])


def refused(*words: str) -> str:
    error = run(*words).exception
    assert isinstance(error, GradraceError), error
    return str(error)


def policy(html: str) -> dict[str, str]:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    return dict(rule.strip().split(" ", 1) for rule in found[1].replace("&#39;", "'").split(";"))


def test_it_is_one_small_file_that_asks_for_nothing(html: str) -> None:
    assert len(html.encode()) <= LARGEST
    # Addresses of papers are on optimizer cards of a race's page, not here; the one of SVG is a name.
    assert set(re.findall(r"https?://[^\s\"'<]*", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r'(src|href|action)="(?!#|data:)', html)
    assert not re.search(r"@import|url\(", html.partition("</style>")[0])
    rules = policy(html)
    assert rules["default-src"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    own = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own]
    assert len(digests) == 3
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]


def test_it_holds_every_rule_and_surface(html: str) -> None:
    for name in optimizers():
        assert (f'"{name}": {{ size' in html) == (name != "soap")
    for name in surfaces():
        assert f'"{name}": {{ value' in html


def test_a_served_page_names_its_scripts(html: str) -> None:
    made, scripts = served(Landscapes(), "ko", "/x/")
    assert policy(made)["script-src"] == "'self'"
    assert re.findall(r'<script src="([^"]*)"', made) == list(scripts)
    assert '<html lang="ko"' in made
    for text in scripts.values():
        assert text in html


def test_the_command_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run()
    path = Path("landscapes.html")
    assert done.stdout == f"landscapes.html: {path.stat().st_size:,} bytes\n", done.exception
    first = path.read_text(encoding="utf-8")
    assert "The file 'landscapes.html' exists." in refused()
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run("--force", "--surface", "beale", "--optimizers", "adam, lion", "--lang", "ko", "--open").exit_code == 0
    second = path.read_text(encoding="utf-8")
    assert opened == [(tmp_path / "landscapes.html").as_uri()]
    assert '"first":"valley"' in first
    assert '"first":"beale"' in second
    assert '"shown":["adam","lion"]' in second
    assert '<html lang="ko"' in second
    assert not list(tmp_path.glob("*.new"))


def test_what_the_command_refuses(tmp_path: Path) -> None:
    path = str(tmp_path / "x.html")
    assert "There is no language 'kr'" in refused("--html", path, "--lang", "kr")
    assert "'beal'" in refused("--html", path, "--surface", "beal")
    assert "adamm" in refused("--html", path, "--optimizers", "adamm")
    assert "cannot be written to" in refused("--html", str(tmp_path / "no" / "x.html"))
    assert refused("--html", path, "--optimizers", "soap") == (
        "Steps must be operations on single numbers to be shown, which none of these is: soap (the operation "
        "remainder.Tensor)."
    )
    assert "torch.optim.NAdam" in refused("--svg", str(tmp_path / "svg"), "--optimizers", "torch.optim.NAdam")
    assert list(tmp_path.iterdir()) == []


def test_a_strangers_rule_walks(tmp_path: Path) -> None:
    assert NORMALIZED is not None
    (tmp_path / "normalized.py").write_text(NORMALIZED[1], encoding="utf-8")
    found = Landscapes([str(tmp_path / "normalized.py"), "sgd"])
    assert found.shown == ["normalized", "sgd"]
    (entered, *_) = found.document()["optimizers"]
    assert entered["name"] == "normalized"
    assert entered["momentum"] == "momentum"
    assert entered["rates"] == pytest.approx([1e-6, 10])
    assert entered["said"]["ko"]["title"] == "Normalized momentum"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(SpecError, match=r"needs jinja2.*pip install 'gradrace\[plots\]'"):
        page(Landscapes(FIRST_SHOWN[:1]))


def test_still_pictures(tmp_path: Path) -> None:
    done = run("--svg", str(tmp_path / "svg"), "--optimizers", "sgd,soap")
    assert done.exit_code == 0, done.exception
    assert sorted(path.name for path in (tmp_path / "svg").iterdir()) == ["sgd.svg", "soap.svg"]
    sgd = (tmp_path / "svg" / "sgd.svg").read_text(encoding="utf-8")
    assert len(sgd) < 60_000
    drawn = ElementTree.fromstring(sgd)
    names = {"s": "http://www.w3.org/2000/svg"}
    (line,) = drawn.findall("s:polyline", names)
    points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
    assert len(points) == 201
    assert len(drawn.findall(".//s:g/s:circle", names)) == 200
    # From (-3.6, 0.25) to about (0, 0) in the view from (-4.4, -2.25), 6 wide in 320 pixels.
    assert points[0] == pytest.approx((0.8 / 6 * 320, 240 - 2.5 / 6 * 320), abs=0.1)
    assert points[-1] == pytest.approx((4.4 / 6 * 320, 240 - 2.25 / 6 * 320), abs=1.5)
    assert drawn.findtext("s:title", "", names).startswith("SGD")
    assert "The file" in refused("--svg", str(tmp_path / "svg"), "--optimizers", "sgd")


def test_contours_lie_where_the_loss_is_equal() -> None:
    """On the noisy bowl, x²/2 + y²: the ends of each piece of a contour, to the width of the grid."""
    text = pictures(["sgd"], "noisy")["sgd"]
    (path,) = re.findall(r'<path d="(M[^"]*)" fill="none" stroke="#8a97a6"', text)
    left, bottom, width = surfaces()["noisy"].view
    found: list[float] = []
    for x, y, dx, dy in re.findall(r"M([\d.-]+),([\d.-]+)l([\d.-]+),([\d.-]+)", path):
        ends = [(float(x), float(y)), (float(x) + float(dx), float(y) + float(dy))]
        at = [(left + px / 320 * width, bottom + (240 - py) / 320 * width) for px, py in ends]
        heights = [ax * ax / 2 + ay * ay for ax, ay in at]
        assert abs(heights[0] - heights[1]) < 0.25 * max(heights) + 0.1
        found += heights
    assert len({round(height, 0) for height in found}) >= 4
