"""Pictures for papers: the document's numbers, labels as they stand, the same bytes each time, nothing global."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pypdf
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from paged import HOSTILE, ODD, large, race
from PIL import Image
from stored_race import A, B, confirmed, notes, record, tuned

import gradrace.report.page
from gradrace.errors import SpecError
from gradrace.outcomes import Outcome
from gradrace.report.page import page_document
from gradrace.report.pictures import ENDINGS, KINDS, TITLES, draw, empty, encoded, look
from gradrace.report.pictures.drawing import PARTS
from gradrace.report.sentences import interval, number
from gradrace.report.words import LANGUAGES, say

FINISHED = record(schedule="constant")
STRANGE = "_a$x^2$ & 50% \\frac{1}{2} <b>#~모멘텀"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """A race with all there is to draw: values differ between studies, and one trial diverged."""
    outcomes = [*tuned(), *confirmed(A, [[0.80, 0.82], [0.81, 0.83], [0.93, 0.85]])]
    made = page_document(FINISHED, outcomes, notes())
    assert [kind for kind in KINDS if empty(made, kind)] == []
    return made


def renamed(label: str) -> dict[str, Any]:
    """A race with all there is to draw, whose better contender has this label."""
    entered, known = record(schedule="constant"), notes()
    entered.spec["contenders"][0]["label"] = label
    for named in (entered.plan["contenders"], entered.plan["steps"], known["costs"]):
        named[label] = named.pop("a")
    for choice in known["choices"]["choices"]:
        choice["contender"] = label if choice["contender"] == "a" else "b"
    outcomes = [replace(o, contender=label if o.contender == "a" else "b") for o in [*tuned(), *confirmed(A, B)]]
    return page_document(entered, outcomes, known)


def texts(figure: Figure) -> list[str]:
    """What can be read in a picture."""
    return [found.get_text() for found in figure.findobj(Text) if isinstance(found, Text) and found.get_text()]


def svg_texts(content: bytes) -> list[str]:
    return [
        "".join(node.itertext()) for node in ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}text")
    ]


def lines(figure: Figure, of: int = 0) -> list[tuple[list[float], list[float]]]:
    """The lines of a picture's axes, without those that are empty."""
    found = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in figure.axes[of].lines]
    return [(x.tolist(), y.tolist()) for x, y in found if len(x)]


def series(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def same(drawn: Sequence[float], known: Sequence[float | None]) -> bool:
    return np.array_equal(np.asarray(drawn, float), np.asarray(series(known)), equal_nan=True)


@pytest.fixture
def korean() -> Iterator[None]:
    """A font that has Hangul, for this test alone."""
    found = find_spec("koreanize_matplotlib")
    assert found is not None
    assert found.submodule_search_locations
    before = list(fontManager.ttflist)
    fontManager.addfont(Path(found.submodule_search_locations[0]) / "fonts" / "NanumGothic.ttf")
    yield
    fontManager.ttflist[:] = before


class TestNumbers:
    """What is drawn is what stands in the document, which is what the page, the terminal and the JSON show."""

    def test_standings(self, document: dict[str, Any]) -> None:
        figure = draw(document, "standings")
        rows = document["summary"]["standings"]
        found = lines(figure)
        for place, row in enumerate(rows):
            assert (row["test"]["interval"], [place, place]) in found
            assert ([row["test"]["mean"]], [place]) in found
            assert f"{number(row['test']['mean'])} {interval(row['test']['interval'])}" in texts(figure)
            assert f"{row['place']}  {row['label']}" in texts(figure)

    def test_ties_are_joined(self, document: dict[str, Any]) -> None:
        tied = {**document, "brackets": [[0, 1]]}
        (bracket,) = [y for x, y in lines(draw(tied, "standings")) if min(x) > 1 and x[0] == x[1]]
        assert bracket == pytest.approx([-0.22, 1.22])
        assert not [x for x, _ in lines(draw({**document, "brackets": []}, "standings")) if min(x) > 1]

    def test_differences(self, document: dict[str, Any]) -> None:
        figure = draw(document, "differences")
        (pair,) = document["summary"]["pairs"]
        assert (pair["interval"], [0, 0]) in lines(figure)
        assert ([pair["difference"]], [0]) in lines(figure)
        said = f"{number(pair['difference'])} {interval(pair['interval'])}  p {number(pair['p_adjusted'])}"
        assert said in texts(figure)
        assert "a − b" in texts(figure)

    def test_matrix(self, document: dict[str, Any]) -> None:
        """Row less column, both ways round, with a sign for what is decided."""
        (pair,) = document["summary"]["pairs"]
        low, high = pair["interval"]
        for decision, sign, back in (
            ("no detectable difference", "=", "="),
            ("a better", "+", "−"),
            ("b better", "−", "+"),
        ):
            changed = {**document["summary"], "pairs": [{**pair, "decision": decision}]}
            found = texts(draw({**document, "summary": changed}, "pairs"))
            assert f"{sign}  {number(pair['difference'])}" in found
            assert f"{back}  {number(-pair['difference'])}" in found
            assert f"{interval([low, high])}\np {number(pair['p_adjusted'])}" in found
            assert f"{interval([-high, -low])}\np {number(pair['p_adjusted'])}" in found

    def test_learning_curves(self, document: dict[str, Any]) -> None:
        found = lines(draw(document, "learning-curves"))
        for label in document["labels"]:
            known = document["learning"][label]
            assert any(same(x, known["steps"]) and same(y, known["median"]) for x, y in found)

    @pytest.mark.parametrize(
        ("kind", "values", "band"),
        [
            ("budget", "best_of_n", "best_of_n_band"),
            ("probability-best", "probability_best_by_n", "probability_best_band"),
        ],
    )
    def test_smaller_budgets(self, document: dict[str, Any], kind: str, values: str, band: str) -> None:
        figure = draw(document, kind)
        budget = document["summary"]["budget"]
        for label in document["labels"]:
            assert any(same(x, [1, 2, 3, 4]) and same(y, budget[values][label]) for x, y in lines(figure))
        areas = [path.vertices for found in figure.axes[0].collections for path in found.get_paths()]
        for label in document["labels"]:
            ends = {(n + 1, end) for n, pair in enumerate(budget[band][label]) if pair for end in pair}
            assert any(ends <= {(x, y) for x, y in np.asarray(area)} for area in areas)

    def test_sensitivity(self, document: dict[str, Any]) -> None:
        """Every tuning trial is there; the chosen ones have a ring; the line and the safe range are the document's."""
        figure, trials = draw(document, "lr-sensitivity"), document["trials"]
        drawn = [tuple(point) for found in figure.axes[0].collections for point in np.asarray(found.get_offsets())]
        tuning = [i for i, stage in enumerate(trials["stage"]) if trials["stages"][stage] == "tuning"]
        known = [(trials["configuration"]["lr"][i], trials["first"][i]) for i in tuning]
        assert np.allclose(sorted(drawn), sorted(known))
        for row in document["summary"]["standings"]:
            line = document["sensitivity"][row["label"]]
            assert any(same(x, line["lr"]) and same(y, line["median"]) for x, y in lines(figure))
            assert any(x == row["lr_safe_range"] and min(y) > 1 for x, y in lines(figure))

    def test_rungs(self, document: dict[str, Any]) -> None:
        figure, trials = draw(document, "rungs"), document["trials"]
        for place, label in enumerate(document["labels"]):
            points = {
                (trials["configuration"]["lr"][i], trials["steps"][i])
                for i, who in enumerate(trials["contender"])
                if trials["labels"][who] == label and trials["stages"][trials["stage"][i]] == "tuning"
            }
            markers = [
                c
                for c in figure.axes[place].collections
                if len(np.asarray(c.get_offsets())) and c.get_label() is not None
            ]
            drawn = {tuple(p) for c in markers for p in np.asarray(c.get_offsets())} - {(0.0, 0.0)}
            assert points == drawn

    def test_target(self, document: dict[str, Any]) -> None:
        figure = draw(document, "steps-to-target")
        for place, row in enumerate(document["summary"]["standings"]):
            assert ([row["steps_to_target"]], [place]) in lines(figure)
            reached, total = row["target_reached"]
            assert any(
                f"({reached} of {total})" in said and said.startswith(f"{row['steps_to_target']} ")
                for said in texts(figure)
            )
        assert any("0.8" in said and "the workload's own" in said for said in texts(figure))

    def test_cost_and_luck(self, document: dict[str, Any]) -> None:
        def widths(axes: Any) -> list[float]:
            return [bar.get_width() for bar in axes.patches]

        left, right = draw(document, "cost").axes
        rows = document["summary"]["standings"]
        assert widths(left) == pytest.approx([row["step_seconds"] * 1e3 for row in rows])
        assert widths(right) == pytest.approx([row["state_bytes_per_parameter"] for row in rows])
        shares = [row["luck"]["share_tuning"] for row in rows]
        assert widths(draw(document, "luck").axes[0])[::2] == pytest.approx(shares)


class TestLabels:
    @pytest.mark.parametrize("label", [STRANGE, HOSTILE[:24], "a\x00\x1b[31m\nb\u202e", "–", "'"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_label_is_text(self, kind: str, label: str) -> None:
        """No mathematics, no markup, no characters that would break the file: what cannot be shown is a mark."""
        content, _ = encoded(draw(renamed(label), kind), "svg")
        assert any(look.shown(label) in said for said in svg_texts(content))
        assert not [
            node for node in ElementTree.fromstring(content).iter() if node.tag.endswith(("script", "}b", "}a"))
        ]

    def test_what_is_shown_of_a_label(self) -> None:
        assert look.shown("a\x00\n  b\u202ec") == "a� b�c"
        assert look.shown("_$<b>") == "_$<b>"
        assert look.shown("x" * 40) == "x" * 23 + "…"

    def test_fonts_are_embedded_in_a_pdf_and_text_is_text(self, korean: None) -> None:
        content, missing = encoded(draw(renamed(STRANGE), "standings", "ko"), "pdf")
        assert missing == ""
        page: Any = pypdf.PdfReader(io.BytesIO(content)).pages[0]
        said = "".join(page.extract_text().split())
        for words in (STRANGE, say("standings.test", "ko", metric="accuracy"), "0.92[0.8952,0.9448]"):
            assert "".join(look.shown(words, 99).split())[:12] in said
        fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
        inner = [font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font for font in fonts]
        assert {str(font["/BaseFont"]).rpartition("+")[2] for font in inner} >= {"DejaVuSans", "NanumGothic"}
        assert all("/FontFile2" in font["/FontDescriptor"].get_object() for font in inner)

    def test_characters_that_no_font_has_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(look, "families", lambda: ["DejaVu Sans"])
        figure = draw(renamed("모멘텀"), "standings")
        assert encoded(figure, "png")[1] == encoded(figure, "pdf")[1] == "멘모텀"
        assert encoded(figure, "svg")[1] == ""  # which is shown in the fonts of its reader

    def test_text_of_an_svg_is_text_in_fonts_that_a_reader_has(self, document: dict[str, Any]) -> None:
        content = encoded(draw(document, "standings"), "svg")[0].decode()
        families = set(re.findall(r"font-family: ([^;\"]*)", content))
        assert families
        assert all(found.startswith("'DejaVu Sans'") and found.endswith("sans-serif") for found in families)
        assert "0.92 [0.8952, 0.9448]" in svg_texts(content.encode())


class TestFiles:
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_the_same_bytes_each_time_whatever_the_users_settings(self, document: dict[str, Any], ending: str) -> None:
        kept: dict[Any, Any] = {
            "lines.linewidth": 9, "text.usetex": True, "axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path",
            "font.sans-serif": ["nothing"], "text.parse_math": True, "savefig.bbox": "tight", "pdf.fonttype": 3,
        }  # fmt: skip
        first = encoded(draw(document, "lr-sensitivity"), ending)[0]
        with matplotlib.rc_context(kept):
            changed = encoded(draw(document, "lr-sensitivity"), ending)[0]
            assert {name: matplotlib.rcParams[name] for name in kept} == kept
        assert first == changed == encoded(draw(document, "lr-sensitivity"), ending)[0]

    def test_sizes_are_those_asked_for(self, document: dict[str, Any]) -> None:
        figure = draw(document, "standings", width=5, height=2.5)
        image = Image.open(io.BytesIO(encoded(figure, "png", 120)[0]))
        assert image.size == (600, 300)
        root = ElementTree.fromstring(encoded(draw(document, "standings", width=5, height=2.5), "svg")[0])
        assert (root.get("width"), root.get("height")) == ("360pt", "180pt")
        box = pypdf.PdfReader(io.BytesIO(encoded(figure, "pdf")[0])).pages[0].mediabox
        assert (float(box.width), float(box.height)) == (360, 180)

    def test_a_picture_says_which_race_it_is_of(self, document: dict[str, Any]) -> None:
        for kind in KINDS:
            assert draw(document, kind, "ko").get_label() == f"{say(TITLES[kind], 'ko')} (w: 경주 abc123)"
        reader = pypdf.PdfReader(io.BytesIO(encoded(draw(document, "standings"), "pdf")[0]))
        assert reader.metadata is not None
        assert reader.metadata.title == "Standings (w: race abc123)"
        assert reader.metadata.creation_date is None

    def test_dark_is_light_on_dark(self, document: dict[str, Any]) -> None:
        for style, theme in look.THEMES.items():
            figure = draw(document, "standings", style=style)
            image = Image.open(io.BytesIO(encoded(figure, "png", 50)[0])).convert("RGB")
            assert to_hex(np.asarray(image)[0, 0] / 255) == theme.paper

    def test_ten_thousand_trials_make_a_small_file(self) -> None:
        many = page_document(*large(10_000, 8))
        for ending in ENDINGS:
            assert len(encoded(draw(many, "lr-sensitivity"), ending)[0]) < 600_000


class TestRefused:
    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            (
                {"kind": "lr_sensitivity"},
                "There is no kind of picture 'lr_sensitivity'. Did you mean 'lr-sensitivity'?",
            ),
            ({"style": "drak"}, "There is no style of pictures 'drak'. Did you mean 'dark'? Known: dark, light."),
            ({"lang": "fr"}, "There is no language 'fr'. Known: en, ko."),
            ({"width": 0}, "The width of a picture must be above 0 and at most 50 inches, but is 0."),
            ({"height": float("nan")}, "The height of a picture must be above 0 and at most 50 inches, but is nan."),
        ],
    )
    def test_with_a_sentence(self, document: dict[str, Any], asked: dict[str, Any], said: str) -> None:
        with pytest.raises(SpecError, match=re.escape(said)):
            draw(document, **{"kind": "standings", **asked})

    def test_files_that_cannot_be(self, document: dict[str, Any]) -> None:
        figure = draw(document, "standings")
        with pytest.raises(SpecError, match=r"There is no format of pictures 'jpg'\. Did you mean 'png'\?"):
            encoded(figure, "jpg")
        with pytest.raises(SpecError, match="must be above 0 and at most 1200, but are -1"):
            encoded(figure, "png", -1)
        with pytest.raises(SpecError, match=r"A picture of 0\.2 x 0\.2 inches is too small"):
            encoded(draw(document, "standings", width=0.2, height=0.2), "png")

    def test_without_matplotlib(self, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(SpecError, match=r"which is not installed: pip install 'gradrace\[plots\]'"):
            draw(document, "standings")


class TestOddRaces:
    @pytest.mark.parametrize("lang", LANGUAGES)
    @pytest.mark.parametrize("name", ODD)
    def test_each_kind_is_drawn_or_says_why_not(self, name: str, lang: str) -> None:
        odd = page_document(*ODD[name]())
        for kind in KINDS:
            if reason := empty(odd, kind, lang):
                assert reason.endswith(".")
                with pytest.raises(
                    SpecError, match=re.escape(f"There is nothing to draw of the kind '{kind}': {reason}")
                ):
                    draw(odd, kind, lang)
            else:
                assert encoded(draw(odd, kind, lang), "svg")[0]

    def test_what_is_left_of_each(self) -> None:
        """So that the test above draws what there is."""
        left = {name: [kind for kind in KINDS if not empty(page_document(*made()), kind)] for name, made in ODD.items()}
        everything = list(KINDS)
        assert left["hostile"] == everything
        assert left["alone"] == [kind for kind in everything if kind not in ("pairs", "differences")]
        assert left["without_target"] == [kind for kind in everything if kind != "steps-to-target"]
        assert "lr-sensitivity" in left["all_diverged"]
        assert "learning-curves" not in left["all_diverged"]
        assert left["unfinished"] == ["lr-sensitivity", "rungs"]
        assert left["empty"] == []

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_a_race_that_has_not_finished_says_so_in_its_pictures(self, lang: str) -> None:
        made = page_document(*ODD["unfinished"]())
        sentence = made["sentences"][lang]["verdict"]
        for kind in ("lr-sensitivity", "rungs"):
            assert sentence in [" ".join(said.split()) for said in texts(draw(made, kind, lang))]

    def test_trials_without_a_learning_rate(self) -> None:
        entered, outcomes, known = race()
        bare = [Outcome.from_dict({**o.to_dict(), "configuration": {"beta1": 0.9}}) for o in outcomes]
        made = page_document(entered, bare, known)
        assert empty(made, "lr-sensitivity") == "No contender's learning rate was tuned."
        assert empty(made, "lr-sensitivity", "ko") == "학습률을 튜닝한 참가자가 없습니다."
        assert empty(made, "standings") is None

    def test_where_less_is_better_and_values_spread_the_scale_is_logarithmic(self) -> None:
        entered, outcomes, known = race()
        entered.plan["workload"] |= {"direction": "min", "worst": None}
        made = page_document(entered, outcomes, known)
        assert draw(made, "lr-sensitivity").axes[0].get_yscale() == "linear"
        spread = [
            Outcome.from_dict({**o.to_dict(), "curve": {**o.to_dict()["curve"], "validation": [10.0**o.point] * 2}})
            for o in outcomes
        ]
        assert draw(page_document(entered, spread, known), "lr-sensitivity").axes[0].get_yscale() == "log"


class TestLook:
    def test_colours_marks_and_lines_are_those_of_the_page(self) -> None:
        script = (Path(gradrace.report.page.__file__).parent / "static" / "shared.js").read_text(encoding="utf-8")
        for name, ours in (("COLOURS", look.COLOURS), ("MARKS", look.MARKS), ("DASHES", look.DASHES)):
            (known,) = re.findall(rf"const {name} = (\[.*?\]);", script)
            assert list(ours) == json.loads(known)

    def test_contenders_beyond_the_eighth_differ_from_those_before(self) -> None:
        styles = [look.style_of(index) for index in range(40)]
        assert len({(known.colour, known.mark) for known in styles}) == 40

    def test_every_kind_has_its_part_and_its_title(self) -> None:
        assert tuple(PARTS) == tuple(TITLES) == KINDS

    @pytest.mark.parametrize(
        ("value", "said"),
        [(1e-5, "10⁻⁵"), (0.1, "0.1"), (1.0, "1"), (100.0, "100"), (1e4, "10⁴"), (0.02, "0.02"), (0, "")],
    )
    def test_powers_of_ten(self, value: float, said: str) -> None:
        assert look.power(value) == said


def test_drawing_changes_nothing_global_and_needs_no_torch() -> None:
    script = """
import sys, json
from gradrace.report.pictures import draw, encoded
assert "matplotlib" not in sys.modules
import matplotlib
before = dict(matplotlib.rcParams.copy().items())  # the settings themselves would choose a backend when asked
document = json.load(sys.stdin)
for ending in ("png", "svg", "pdf"):
    encoded(draw(document, "standings"), ending)
after = dict(matplotlib.rcParams.copy().items())
loaded = [name for name in ("torch", "matplotlib.pyplot") if name in sys.modules]
print([name for name in before if before[name] != after[name]], loaded, matplotlib.get_backend(auto_select=False))
"""
    given = json.dumps(page_document(*race()))
    done = subprocess.run(
        [sys.executable, "-c", script], input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[] [] None"
