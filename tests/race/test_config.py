"""Races out of TOML files: what they mean, what is refused and how, and the schema that editors read."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gradrace import cli
from gradrace.cli._racing import race as command
from gradrace.errors import SpecError
from gradrace.race import api
from gradrace.race.config import options_of, schema
from gradrace.race.spec import Contender, RaceSpec
from gradrace.race.toml_file import MOST_BYTES, read_toml
from gradrace.space import Choice, LogUniform, Uniform

DOCS = Path(__file__).parents[2] / "docs"

WHOLE = """
workload = "linear"
optimizers = ["sgd", "b=adam"]
studies = 3
trials = 4
seeds = 2
steps = 8
engine = "loop"
store = "races.db"
quiet = true

[[contenders]]
optimizer = "momentum"
label = "nesterov"
hyper = { momentum = 0.9 }
options = { nesterov = true }
scramble = 1

[contenders.space]
lr = { scale = "log", low = 1e-4, high = 1, limit = 2.0 }
weight_decay = { scale = "choice", values = [0, 0.1] }
warmup = { scale = "linear", low = 0.0, high = 0.5 }
"""


def read(text: str, tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "race.toml"
    file.write_text(text, encoding="utf-8")
    return options_of(read_toml(file), file)


def test_a_file_gives_options_and_contenders(tmp_path: Path) -> None:
    found = read(WHOLE, tmp_path)
    contenders = found.pop("optimizers")
    space = {
        "lr": LogUniform(1e-4, 1, limit=2.0),
        "weight_decay": Choice((0, 0.1)),
        "warmup": Uniform(0.0, 0.5),
    }
    meant = Contender("momentum", "nesterov", space, {"momentum": 0.9}, {"nesterov": True}, 1)
    assert [known.label for known in contenders] == ["sgd", "b", "nesterov"]
    assert contenders[2].describe() == meant.describe()
    assert found == {
        "workload": "linear",
        "studies": 3,
        "trials": 4,
        "seeds": 2,
        "steps": 8,
        "engine": "loop",
        "store": tmp_path / "races.db",
        "quiet": True,
    }


def test_every_option_of_the_command_may_stand_in_a_file() -> None:
    options = set(inspect.signature(command).parameters) - {"ctx", "from_config", "live", "host", "port", "open_"}
    assert set(schema()["properties"]) == options | {"contenders"}
    # what determines a race is allowed here exactly if it is there
    assert set(RaceSpec.model_fields) <= options


def test_the_schema_that_is_shipped_is_that_of_the_code() -> None:
    assert json.loads((DOCS / "race.schema.json").read_text(encoding="utf-8")) == schema()
    assert json.loads(CliRunner().invoke(cli.app, ["schema"]).stdout) == schema()
    assert schema()["properties"]["studies"] == {
        "title": "Studies",
        "description": "Independent tunings of each contender.",
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000,
    }


def test_the_example_of_the_docs_is_a_race(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (DOCS / "config.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [known.label for known in read(block, tmp_path)["optimizers"]] == ["sgd", "adam", "nesterov"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("studies = 0", "studies must be at least 1, but is 0."),
        ('studies = "3"', "studies must be a whole number, but is '3'."),
        ("warmup = nan", "warmup must be a finite number, but is nan."),
        ("studys = 3", "A race has no option 'studys'. It has: workload, suite, optimizers"),
        ('budget = "huge"', "budget must be 'quick', 'standard' or 'thorough', but is 'huge'."),
        ("[[contenders]]\nlabel = 'a'", "contenders.0.optimizer is missing."),
        ("[[contenders]]\noptimizer = 'sgd'\nlr = 1", "no option 'contenders.0.lr'. It has: optimizer, label, space"),
        ("[[contenders]]\noptimizer = 'adm'", "There is no optimizer 'adm'. Did you mean 'adam'?"),
        (
            "[[contenders]]\noptimizer = 'sgd'\nspace.lr = { scale = 'log', low = 0, high = 1 }",
            "contenders.0.space.lr.log.low must be greater than 0, but is 0",
        ),
        (
            "[[contenders]]\noptimizer = 'sgd'\nspace.lr = { scale = 'log', low = 1, high = 0.5 }",
            "The lower bound of a search space must be below the upper one",
        ),
        ("[[contenders]]\noptimizer = 'sgd'\nspace.lr = { scale = 'l' }", "contenders.0.space.lr"),
        ("optimizers = ['=adam']", "has no label before '='"),
        ("studies = ", "is not TOML: "),
        ("a = " + "[" * 5000, "is nested too deeply to be read."),
        ("a = " + "9" * 5000, "is not TOML: "),
        ("#" * (MOST_BYTES + 1), "more than 1,000,000 bytes"),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_is_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(text, tmp_path)
    assert sentence in str(caught.value)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "No such file"), (tmp_path, "directory"), (Path("a\0b"), "null")):
        with pytest.raises(SpecError, match="cannot be read") as caught:
            read_toml(path)
        assert reason in str(caught.value)
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(SpecError, match="is not TOML: 'utf-8' codec"):
        read_toml(tmp_path / "bytes.toml")


@pytest.mark.usefixtures("inline_lanes")
def test_the_command_line_wins_and_the_race_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "race.toml"
    file.write_text(WHOLE, encoding="utf-8")

    def ids(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(cli.app, ["race", "--from-config", str(file), "--json", "-", *words])
        assert done.exit_code == 0, done.exception
        return json.loads(done.stdout)

    found = ids()
    assert (tmp_path / "races.db").is_file()
    given = read(WHOLE, tmp_path)
    assert (
        api.race(given.pop("workload"), given.pop("optimizers"), **given).to_json()["race"]["id"] == found["race"]["id"]
    )
    other = ids("--steps", "12", "--optimizers", "sgd,adam")
    assert [known["label"] for known in other["standings"]] != [known["label"] for known in found["standings"]]
    assert {known["label"] for known in other["standings"]} == {"sgd", "adam"}
    assert (found["plan"]["steps"], other["plan"]["steps"]) == (8, 12)
