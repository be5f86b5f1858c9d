"""What people ask for, garbled: specs, TOML files, contenders and labels. Each works or is refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradrace.errors import GradraceError, SpecError
from gradrace.race.config import options_of, schema
from gradrace.race.spec import Contender, RaceSpec, label_and_name, make_contenders, make_spec
from gradrace.race.toml_file import read_toml
from gradrace.space import Choice, LogUniform, Uniform, space_from_dict
from gradrace.workloads import workload

from .made_stores import fuzzed

LINEAR = workload("linear")
OPTIONS = sorted(schema()["properties"])
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-2, 20),
    st.floats(),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, 2**63, -(2**63), 10**400]),
)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=80), st.binary(max_size=9))
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=4)),
    max_leaves=8,
)
HYPER = st.sampled_from(["lr", "momentum", "beta1", "weight_decay", "eps", "warmup", "ema", "clip_norm", "", "ß"])
SPACES = st.one_of(
    st.fixed_dictionaries(
        {"scale": st.sampled_from(["log", "linear", "choice", "none"])},
        optional={
            "low": NUMBERS,
            "high": NUMBERS,
            "values": st.lists(NUMBERS, max_size=3),
            "from_trials": NUMBERS,
            "limit": NUMBERS,
            "one_minus": st.booleans(),
        },
    ),
    VALUES,
)
TABLES = st.fixed_dictionaries(
    {"optimizer": st.one_of(st.sampled_from(["sgd", "adam", "momentum", "adm", ""]), VALUES)},
    optional={
        "label": st.one_of(st.text(max_size=70), VALUES),
        "space": st.one_of(st.dictionaries(HYPER, SPACES, max_size=3), VALUES),
        "hyper": st.one_of(st.dictionaries(HYPER, NUMBERS, max_size=3), VALUES),
        "options": st.one_of(st.dictionaries(st.sampled_from(["nesterov", "amsgrad", "x"]), st.booleans()), VALUES),
        "scramble": st.one_of(NUMBERS, VALUES),
    },
)


def sentence(error: GradraceError) -> None:
    said = str(error)
    assert said.strip()
    assert "Traceback" not in said
    assert said.rstrip()[-1] in ".?!):'" or "\n" in said, said


@fuzzed(400, 0.2)
@given(st.dictionaries(st.sampled_from([*RaceSpec.model_fields, "lanes", "x"]), st.one_of(NUMBERS, VALUES), max_size=6))
def test_specs(asked: dict[str, Any]) -> None:
    try:
        spec = make_spec(LINEAR, "quick", **asked)
    except SpecError as error:
        sentence(error)
    else:
        assert RaceSpec(**spec.model_dump()) == spec


@fuzzed(150, 0.2)
@given(
    st.dictionaries(st.sampled_from([*OPTIONS, "studys"]), st.one_of(NUMBERS, VALUES), max_size=5),
    st.lists(TABLES, max_size=2),
)
def test_tables_of_a_file(values: dict[str, Any], tables: list[Any]) -> None:
    asked = {**values, "contenders": tables} if tables else values
    try:
        found = options_of(asked, Path("race.toml"))
    except GradraceError as error:
        sentence(error)
    else:
        assert set(found) <= set(OPTIONS)


TOML = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(
        st.sampled_from(
            [
                "[",
                "]",
                "[[contenders]]\n",
                "=",
                "lr",
                "studies",
                "3",
                "'",
                "\n",
                "{",
                "}",
                ",",
                "1e999",
                "nan",
                "#",
                "1979-05-27",
                "contenders",
                ".",
                "optimizer = 'sgd'\n",
                "\x00",
                "true",
                "0x",
                "🦆",
                "[" * 3000,
            ]
        ),
        max_size=40,
    ).map(lambda words: " ".join(words).encode()),
)


@fuzzed(300, 0.15)
@given(content=TOML)
def test_bytes_of_a_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    file.write_bytes(content)
    try:
        options_of(read_toml(file), file)
    except SpecError as error:
        sentence(error)


@fuzzed(300, 0.15)
@given(
    st.sampled_from(["sgd", "adam", "momentum", "lion"]),
    st.one_of(st.text(max_size=70), st.text("ab=,\n\t\x00\u202e<&'\"한", max_size=9)),
    st.dictionaries(HYPER, NUMBERS, max_size=2),
    st.dictionaries(HYPER, st.tuples(st.sampled_from([LogUniform, Uniform]), NUMBERS, NUMBERS), max_size=2),
)
def test_contenders_and_labels(name: str, label: str, hyper: dict[str, Any], spaces: dict[str, Any]) -> None:
    try:
        label_and_name(f"{label}={name}")
        space = {key: kind(low, high) for key, (kind, low, high) in spaces.items()}
        (made,) = make_contenders([Contender(name, label, space, hyper)])
    except SpecError as error:
        sentence(error)
        return
    again = Contender.from_description(made.describe(), None)
    assert again.describe() == made.describe()
    for known in made.dimensions(50).values():
        assert space_from_dict(known.to_dict()) == known
        assert isinstance(known, Choice) or known.value(0.0) == known.value(0.0)


def test_a_whole_number_that_no_float_reaches_is_refused() -> None:
    with pytest.raises(SpecError, match="must be finite numbers"):
        LogUniform(1, 10**400)
