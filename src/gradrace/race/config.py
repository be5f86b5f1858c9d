"""A race out of a TOML file: every option of ``gradrace race``, and contenders with spaces of their own.

The models below are the file's form; the JSON schema for editors is made from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from gradrace.errors import SpecError
from gradrace.race.spec import BUDGETS, MOST_LABEL, Contender, RaceSpec, label_and_name, sentence_of
from gradrace.space import space_from_dict

PATHS = ("store", "json", "report")
"""Options that name files. In a file they are meant from the file's own folder, whoever runs it from wherever."""

Budget = Literal["quick", "standard", "thorough"]
assert set(Budget.__args__) == set(BUDGETS)


class _Table(BaseModel):
    # Strict: what the schema lets an editor accept is what is accepted here, so "8" is no number.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class LogTable(_Table):
    """A positive value whose logarithm is uniform."""

    scale: Literal["log"]
    low: float = Field(gt=0, description="Least value.")
    high: float = Field(gt=0, description="Greatest value.")
    one_minus: bool = Field(default=False, description="Tune 1 - value on this scale, as suits momentum and betas.")
    from_trials: int = Field(default=1, ge=1, description="Tune it only in studies with at least so many trials.")
    limit: float | None = Field(default=None, description="No extension of the range goes beyond this value.")


class LinearTable(_Table):
    """A value uniform between two numbers."""

    scale: Literal["linear"]
    low: float = Field(description="Least value.")
    high: float = Field(description="Greatest value.")
    from_trials: int = Field(default=1, ge=1, description="Tune it only in studies with at least so many trials.")


class ChoiceTable(_Table):
    """One of a few numbers."""

    scale: Literal["choice"]
    values: list[float] = Field(min_length=1, max_length=1000, description="The numbers.")
    from_trials: int = Field(default=1, ge=1, description="Tune it only in studies with at least so many trials.")


SpaceTable = Annotated[LogTable | LinearTable | ChoiceTable, Field(discriminator="scale")]


class ContenderTable(_Table):
    """An optimizer entered in a race."""

    optimizer: str = Field(min_length=1, description="Its name, a dotted name, or a .py file beside this one.")
    label: str = Field(default="", max_length=MOST_LABEL, description="What it is called here. Default: its name.")
    space: dict[str, SpaceTable] = Field(default={}, description="Search spaces, by hyperparameter.")
    hyper: dict[str, float] = Field(default={}, description="Hyperparameters held at a value; they are not tuned.")
    options: dict[str, bool] = Field(default={}, description="Structural options, such as nesterov = true.")
    scramble: int = Field(default=0, ge=0, description="Contenders with the same number meet the same points.")


_OTHERS: dict[str, tuple[Any, str]] = {
    "workload": (str, "A built-in workload, or a .py file beside this one that defines one."),
    "suite": (str, "Race on every workload of a suite instead, such as primer."),
    "optimizers": (list[str], "Contenders by name, with a label in front if need be: a=adam."),
    "contenders": (list[ContenderTable], "Contenders with search spaces, held values or options of their own."),
    "budget": (Budget, "A preset of studies, trials, seeds and steps."),
    "lanes": (Annotated[int, Field(ge=1)], "Processes that train. Default: one for each core."),
    "store": (str, "Database file of races."),
    "json": (str, "A file to write the summary to; - prints it alone."),
    "report": (str, "A file to write the race's page to."),
    "trial_timeout": (Annotated[float, Field(gt=0)], "Seconds that a lane may train without any headway."),
    "save_every": (Annotated[float, Field(ge=0)], "Seconds between two savings of a long block; 0 for none."),
    "quiet": (bool, "Show no progress."),
    "profile": (bool, "Tell where the seconds went."),
    "log_level": (Literal["debug", "info", "warning", "error", "off"], "Of the log beside the store."),
    "log_json": (bool, "Write the log as lines of JSON."),
}
_OF_THE_SPEC = {
    "studies": "Independent tunings of each contender.",
    "trials": "Trials in each study.",
    "seeds": "Fresh seeds that confirm each study's choice.",
    "steps": "Training steps of a trial.",
    "batch_size": "Examples in a batch. Default: the workload's.",
    "schedule": "Of the learning rate.",
    "warmup": "Share of the steps over which the learning rate first rises.",
    "clip_norm": "Greatest length of a gradient; 0 for no clipping.",
    "decoupled_weight_decay": "Share of the learning rate by which weights shrink at each step.",
    "decay_biases": "Decay biases and scales of norms too.",
    "ema": "Evaluate with an average of weights that keeps this share.",
    "halving": "Drop half of a study's trials at a quarter and at half of the steps.",
    "engine": "auto measures which is fastest.",
    "device": "Where to train.",
    "deterministic": "On CUDA: only operations that repeat to the bit.",
    "currency": "What equal budgets are counted in.",
    "seed": "Everything random in the race follows from it.",
}


def _model() -> type[BaseModel]:
    """The whole file. What is allowed for the numbers of a race is what ``RaceSpec`` allows, and is not said twice."""
    given: dict[str, Any] = {}
    for name, (kind, meaning) in _OTHERS.items():
        # A field called json would hide a method of pydantic's.
        given[f"{name}_"] = (kind | None, Field(default=None, alias=name, description=meaning))
    for name, meaning in _OF_THE_SPEC.items():
        known = RaceSpec.model_fields[name]
        kind: Any = Annotated[known.annotation, *known.metadata] if known.metadata else known.annotation
        given[name] = (kind | None, Field(default=None, description=meaning))
    made = create_model("RaceConfig", __base__=_Table, **given)
    made.__doc__ = "A race of gradrace: gradrace race --from-config FILE."
    return made


RaceConfig = _model()


def options_of(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """The options that a file gives, by the names of the command line's; contenders as ``Contender`` objects.

    Args:
        values: what ``read_toml`` read.
        path: of the file. Paths in it are meant from its folder.

    Raises:
        SpecError: an option that does not exist, a value that is not allowed, or a contender that cannot be.
    """
    try:
        config = RaceConfig.model_validate(values)
    except ValidationError as error:
        told = " ".join(sentence_of(problem, _known_at(problem["loc"])) for problem in error.errors())
        raise SpecError(f"The file '{path}' describes no race. {told}") from None
    found = {name.removesuffix("_"): value for name, value in config if value is not None}
    folder = path.parent
    for name in PATHS:
        if name in found and found[name] != "-":
            found[name] = folder / found[name]
    if "workload" in found:
        found["workload"] = _beside(found["workload"], folder)
    words, tables = found.pop("optimizers", []), found.pop("contenders", [])
    if words or tables:
        found["optimizers"] = [*(_of_word(word, folder) for word in words), *_of_tables(tables, folder)]
    return found


def schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors."""
    made = RaceConfig.model_json_schema()
    for known in made["properties"].values():
        # TOML has no null: an option is given or left out.
        kinds = [kind for kind in known.pop("anyOf", []) if kind != {"type": "null"}]
        known.update(kinds[0] if kinds else {})
        known.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _known_at(place: Sequence[int | str]) -> list[str]:
    """The names that a table may have where a problem was found."""
    if len(place) < 2:
        return [*_OTHERS, *_OF_THE_SPEC]
    tables = {"log": LogTable, "linear": LinearTable, "choice": ChoiceTable}
    table = next((tables[str(part)] for part in place[3:-1] if part in tables), ContenderTable)
    return list(table.model_fields)


def _beside(name: str, folder: Path) -> str:
    return str(folder / name) if name.endswith(".py") else name


def _of_word(word: str, folder: Path) -> Contender:
    label, name = label_and_name(word)
    return Contender(_beside(name, folder), label)


def _of_tables(tables: Sequence[ContenderTable], folder: Path) -> list[Contender]:
    found = []
    for table in tables:
        space = {name: space_from_dict(known.model_dump()) for name, known in table.space.items()}
        optimizer = _beside(table.optimizer, folder)
        found.append(Contender(optimizer, table.label, space, table.hyper, table.options, table.scramble))
    return found
