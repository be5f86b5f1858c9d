"""The command that measures how far a verdict can be trusted."""

from __future__ import annotations

from typing import Annotated

import typer

from gradrace.cli._app import JsonOption, LanesOption, QuietOption, StoreOption, app, check_json, give, the_api


@app.command()
def calibrate(
    workloads: Annotated[
        list[str] | None, typer.Argument(metavar="[WORKLOAD]...", help="Built-in workloads, or .py files.")
    ] = None,
    optimizer: Annotated[
        str, typer.Option(help="To race against itself; several with commas between are made equally good.")
    ] = "adam",
    entries: Annotated[int | None, typer.Option(help="How often it is entered. Default: 5.")] = None,
    pool: Annotated[int, typer.Option(help="Studies of each entry, from which races are drawn.")] = 100,
    races: Annotated[int, typer.Option(help="Races drawn for each number of studies and contenders.")] = 2000,
    budget: Annotated[str, typer.Option(help="Trials, seeds and steps: quick, standard or thorough.")] = "standard",
    trials: Annotated[int | None, typer.Option(help="Trials in each study.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Fresh seeds that confirm each study's choice.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of a trial.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Count false verdicts on races that share no study.")] = False,
    candidates: Annotated[bool, typer.Option("--candidates", help="Calibrate other tests too.")] = False,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 0,
    lanes: LanesOption = None,
    store: StoreOption = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Race an optimizer against itself: how often the verdict is false, and what it can find."""
    the_api()
    from gradrace.race.calibrate import calibrate as measure
    from gradrace.report import calibration

    check_json(json)
    names = [word.strip() for word in optimizer.split(",")]
    found = []
    for workload in workloads or ["digits"]:
        result = measure(
            workload,
            names,
            entries=entries,
            pool=pool,
            races=races,
            budget=budget,
            trials=trials,
            seeds=seeds,
            steps=steps,
            fresh=fresh,
            candidates=candidates,
            seed=seed,
            lanes=lanes,
            store=store,
            quiet=quiet,
        )
        found.append(result.to_json())
    give({"schema": found[0]["schema"], "calibrations": found}, json, calibration.render_all)
