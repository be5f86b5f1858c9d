"""Commands that race, and that show races."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradrace.cli._app import (
    JsonOption,
    LanesOption,
    ProfileOption,
    QuietOption,
    StoreOption,
    app,
    check_json,
    give,
    print_it,
    show_summary,
    the_api,
)
from gradrace.cli._logging import LogJsonOption, LogLevelOption, log_beside
from gradrace.cli._serving import HostOption, OpenOption, PortOption, live_page
from gradrace.errors import SpecError
from gradrace.race.ahead import lanes_ahead
from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.race.limits import PATIENCE, SAVE_EVERY
from gradrace.race.places import store_path
from gradrace.race.profile import process_seconds
from gradrace.race.toml_file import read_toml

if TYPE_CHECKING:
    from gradrace import Contender

TimeoutOption = Annotated[
    float, typer.Option(help="Seconds that a lane may train without any headway; then a trial of its block hangs.")
]
SaveOption = Annotated[float, typer.Option(help="Seconds between two savings of a long block; 0 for none.")]


@app.command()
def race(
    ctx: typer.Context,
    workload: Annotated[
        str | None, typer.Argument(help="A built-in workload, or a .py file that defines one. Default: digits.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Race on every workload of a suite instead, such as primer.")
    ] = None,
    optimizers: Annotated[
        str, typer.Option(help="Names with commas between; a label in front, as in a=adam,b=adam.")
    ] = ",".join(DEFAULT_CONTENDERS),
    from_config: Annotated[
        Path | None, typer.Option(help="A TOML file of options and contenders. Options given here win.")
    ] = None,
    budget: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "standard",
    studies: Annotated[int | None, typer.Option(help="Independent tunings of each contender.")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in each study.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Fresh seeds that confirm each study's choice.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of a trial.")] = None,
    schedule: Annotated[str, typer.Option(help="Of the learning rate: constant, cosine or linear.")] = "constant",
    warmup: Annotated[float, typer.Option(help="Share of the steps over which the learning rate first rises.")] = 0.0,
    clip_norm: Annotated[float, typer.Option(help="Greatest length of a gradient; 0 for no clipping.")] = 0.0,
    decoupled_weight_decay: Annotated[
        float, typer.Option(help="Share of the learning rate by which weights shrink at each step.")
    ] = 0.0,
    decay_biases: Annotated[
        bool, typer.Option("--decay-biases/--no-decay-biases", help="Decay biases and scales of norms too.")
    ] = False,
    ema: Annotated[float, typer.Option(help="Evaluate with an average of weights that keeps this share.")] = 0.0,
    halving: Annotated[
        bool, typer.Option("--halving/--no-halving", help="Drop half of a study's trials at 1/4 and 1/2 of the steps.")
    ] = True,
    batch_size: Annotated[int | None, typer.Option(help="Examples in a batch. Default: the workload's.")] = None,
    engine: Annotated[
        str, typer.Option(help="auto measures which is fastest; or compiled, vectorized, loop.")
    ] = "auto",
    currency: Annotated[str, typer.Option(help="Budgets are equal in gradients, or in seconds.")] = "gradients",
    lanes: LanesOption = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="On CUDA: only operations that repeat to the bit.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Everything random in the race follows from it.")] = 0,
    store: StoreOption = None,
    json: JsonOption = None,
    report: Annotated[Path | None, typer.Option(help="Write the race's page, an HTML file, to PATH.")] = None,
    trial_timeout: TimeoutOption = PATIENCE,
    save_every: SaveOption = SAVE_EVERY,
    live: Annotated[bool, typer.Option("--live", help="Serve the race's page while it runs.")] = False,
    host: HostOption = None,
    port: PortOption = None,
    open_: OpenOption = False,
    quiet: QuietOption = False,
    profile: ProfileOption = False,
    log_level: LogLevelOption = "info",
    log_json: LogJsonOption = False,
) -> None:
    """Race optimizers on a workload and print the verdict; or, with --suite, on several."""
    file = {} if from_config is None else read_toml(from_config)
    given = said_words(ctx)
    if "device" not in given and file.get("device") == "cuda":
        device = "cuda"
    if "store" not in given and isinstance(file.get("store"), str):
        store = Path(file["store"])
    with live_page(live, host, port, open_, store) as announce, lanes_ahead(device):
        api = the_api()
        before = process_seconds()
        options: dict[str, Any] = {**ctx.params, "device": device, "store": store}
        options |= {} if from_config is None else _out_of(file, from_config, given)
        for name in ("from_config", "live", "host", "port", "open_"):
            del options[name]
        suite, workload, json = options.pop("suite"), options.pop("workload"), options.pop("json")
        report, profile = options.pop("report"), options.pop("profile")
        level, as_json = options.pop("log_level"), options.pop("log_json")
        json = None if json is None else str(json)
        if suite is not None:
            _only_a_suite(suite, workload, profile, report)
        check_json(json)
        optimizers = options.pop("optimizers")
        contenders = (
            [contender_of(word) for word in optimizers.split(",")] if isinstance(optimizers, str) else optimizers
        )
        announce()
        with log_beside(store_path(options["store"]), level, as_json):
            if suite is not None:
                _race_suite(suite, contenders, options, json)
                return
            result = api.race(workload or "digits", contenders, **options, report=report)
        show_summary(result.to_json(), json, before if profile else None)


def said_words(ctx: typer.Context) -> set[str]:
    """The options that stand on the command line."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _out_of(file: dict[str, Any], path: Path, given: set[str]) -> dict[str, Any]:
    """What a file says beside what is ``given`` on the command line, which wins."""
    from gradrace.race.config import options_of

    if given & {"workload", "suite"}:  # the one asked for takes the place of the other
        given = given | {"workload", "suite"}
    return {name: value for name, value in options_of(file, path).items() if name not in given}


def _only_a_suite(suite: str, workload: str | None, profile: bool, report: Path | None) -> None:
    """Raise a SpecError for what does not go with a suite."""
    if workload is not None:
        raise SpecError(
            f"Both the workload '{workload}' and --suite {suite} were given. A suite has workloads of its own: give "
            "one or the other."
        )
    if profile:
        raise SpecError("--profile tells where the seconds of one race went; with --suite there are several.")
    if report is not None:
        raise SpecError("--report writes the page of one race; with --suite there are several: gradrace report ID.")


def _race_suite(suite: str, contenders: Sequence[Contender], options: Mapping[str, Any], json: str | None) -> None:
    from gradrace.race.suite import race_suite
    from gradrace.report import suite_terminal

    give(race_suite(suite, contenders, **options).to_json(), json, suite_terminal.render)


def contender_of(word: str) -> Contender:
    from gradrace.race.spec import Contender, label_and_name

    label, name = label_and_name(word)
    return Contender(name, label=label)


@app.command()
def resume(
    race: Annotated[str, typer.Argument(metavar="ID", help="The race's id, or its first four digits or more.")],
    lanes: LanesOption = None,
    store: StoreOption = None,
    json: JsonOption = None,
    report: Annotated[Path | None, typer.Option(help="Write the race's page, an HTML file, to PATH.")] = None,
    trial_timeout: TimeoutOption = PATIENCE,
    save_every: SaveOption = SAVE_EVERY,
    quiet: QuietOption = False,
    profile: ProfileOption = False,
    log_level: LogLevelOption = "info",
    log_json: LogJsonOption = False,
) -> None:
    """Go on with a race that was stopped or killed."""
    with lanes_ahead():
        api = the_api()
        before = process_seconds()
        check_json(json)
        limits = {"trial_timeout": trial_timeout, "save_every": save_every}
        with log_beside(store_path(store), log_level, log_json):
            summary = api.resume(race, store=store, lanes=lanes, report=report, quiet=quiet, **limits).to_json()
    show_summary(summary, json, before if profile else None)


@app.command()
def show(
    race: Annotated[str, typer.Argument(metavar="ID", help="The race's id, or its first four digits or more.")],
    store: StoreOption = None,
    json: JsonOption = None,
) -> None:
    """Print the verdict of a stored race."""
    from gradrace.race import api
    from gradrace.store import open_store

    check_json(json)
    with open_store(api.store_path(store), must_exist=True) as opened:
        summary = api.result_of(opened, race).to_json()
    show_summary(summary, json)


@app.command()
def races(store: StoreOption = None) -> None:
    """List the races of a store, newest first."""
    from gradrace.race import api
    from gradrace.report import cards
    from gradrace.store import open_store

    with open_store(api.store_path(store), must_exist=True) as opened:
        print_it(cards.races(opened.races()))
