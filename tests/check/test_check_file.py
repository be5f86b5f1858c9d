"""``gradrace check FILE.py``: what it prints, how it exits, and the example that CONTRIBUTING.md begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradrace import cli
from gradrace.check import check_file
from gradrace.errors import GradraceError
from gradrace.optimizers import optimizers

HERE = Path(__file__).parent
CONTRIBUTING = HERE.parents[1] / "CONTRIBUTING.md"


def gradrace(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words))


def example() -> str:
    """The first block of Python in CONTRIBUTING.md."""
    blocks = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), flags=re.DOTALL)
    return blocks[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.usefixtures("folder")
def test_the_example_for_newcomers_passes() -> None:
    found = check_file(write("normalized_sgd.py", example()))
    assert [finding for finding in found if not finding.passed] == []
    assert len(found) == 18
    assert 25 <= len(example().splitlines()) <= 60


WORKLOAD = """
import torch
from torch import nn
from gradrace.workloads import Workload

torch.manual_seed(0)
x = torch.randn(90, 2)
workload = Workload(
    "mine", lambda: nn.Linear(2, 1), nn.functional.mse_loss, "mse",
    train=(x, x.sum(1, keepdim=True)), validation=0.2, test=0.2, batch_size=10, steps=30,
)
"""


@pytest.mark.usefixtures("folder")
def test_a_file_may_hold_a_workload() -> None:
    said = gradrace("check", write("mine.py", WORKLOAD))
    assert said.exit_code == 0, said.exception
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("ok")] == ["ok"] * 7
    assert lines[-1] == "mine.py: all 7 checks passed."


def test_a_file_that_fails_says_all_that_it_fails_and_exits_with_1(folder: Path) -> None:
    broken = (
        example()
        .replace("LogUniform(1e-5, 1)", "LogUniform(10, 1e-5)")
        .replace('link="https://', 'link="')
        .replace("torch.zeros_like(param)", "param")
    )
    both = broken + WORKLOAD.replace("lambda: nn.Linear(2, 1)", "lambda: nn.Linear(2, 3)").replace('"mse",', '"mzz",')
    said = gradrace("check", write("broken.py", both))
    assert said.exit_code == 1
    text = " ".join(said.stdout.split())
    for part in (
        "failed definition The lower bound of a search space must be below the upper one, but they are 10 and 1e-05.",
        "failed definition There is no metric 'mzz'. Known: accuracy",
        "failed card The card's link is",
        "failed state The state of init is the memory of a parameter",
        "ok zero gradient",
        "failed the rest Because of this, 7 checks were not tried: data, splits",
    ):
        assert part in text
    assert re.search(r"broken\.py: \d of \d+ checks failed\.", text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "There is no file 'mine.py'."),
        (
            "x = 1",
            "optimizer = Optimizer(...), workload = Workload(...) or claim = Claim(...), but defines none of them.",
        ),
        ("optimizer = 'adam'", "but defines none of them."),
        ("import torch\n1 / 0", "mine.py raised while it was loaded:"),
        (
            "from gradrace.optimizers import Optimizer\noptimizer = Optimizer(speed=1)",
            "got an unexpected keyword argument 'speed'",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_file_that_cannot_be_checked_exits_with_2(text: str | None, sentence: str) -> None:
    if text is not None:
        write("mine.py", text)
    error = gradrace("check", "mine.py").exception
    assert isinstance(error, GradraceError)  # which main turns into exit code 2
    assert sentence in str(error)


@pytest.mark.usefixtures("folder")
def test_definitions_that_do_not_fit_are_all_told() -> None:
    text = (
        example()
        .replace('space={"lr": LogUniform(1e-5, 1)}', 'space={"lr": LogUniform(0, 1), "beta": LogUniform(3, 2)}')
        .replace('arguments={"lr": "lr"', 'arguments={"lr": "speed"')
        .replace("    lr: Tensor\n", "    rate: Tensor\n")
    )
    found = check_file(write("mine.py", text))
    told = " ".join(finding.sentence for finding in found if finding.check == "definition")
    for part in (
        "A log scale cannot touch zero: low is 0",
        "but they are 3 and 2.",
        "has an argument for 'speed', which it does not have.",
        "tunes 'beta', which is not one of its hyperparameters.",
        "declares hyperparameters lr, momentum, but its record has the fields rate, momentum",
    ):
        assert part in told
    assert found[-1].check == "the rest"


def test_the_tree_draws_every_optimizer_once_below_its_parent() -> None:
    lines = gradrace("list", "optimizers", "--tree").stdout.splitlines()
    drawn = {re.sub(r"^[│├└─\s]*", "", line).split(":")[0]: line for line in lines[1:]}
    assert set(drawn) == set(optimizers())
    assert len(lines) == 1 + len(drawn)
    for name, rule in optimizers().items():
        deeper = 4 if rule.family else 0
        parent = drawn[rule.family[0]] if rule.family else lines[1]
        depth = drawn[name].index(name)
        assert depth == (parent.index(rule.family[0]) + deeper if rule.family else 4)
        assert (rule.family[1] if rule.family else rule.card.title) in drawn[name]


def test_workloads_have_no_tree() -> None:
    error = gradrace("list", "workloads", "--tree").exception
    assert str(error) == "--tree draws the family of the optimizers; workloads have none."
