"""Runs out of tables become a race: judged by the test that suits them, with what they cannot tell, or refused."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from scipy.stats import ttest_rel
from typer.testing import CliRunner

import gradrace
from gradrace import SpecError, cli, import_runs
from gradrace.race.imports import tables
from gradrace.store import open_store
from gradrace.verdict import compare_unpaired

SCORES = {
    "sgd": [[0.90, 0.91], [0.89, 0.90], [0.91, 0.92], [0.90, 0.90]],
    "adam": [[0.93, 0.94], [0.92, 0.94], [0.94, 0.95], [0.93, 0.92]],
}


def confirmed(scores: Mapping[str, Sequence[Sequence[float]]] = SCORES, **more: Any) -> list[dict[str, Any]]:
    return [
        {"contender": label, "study": study, "seed": seed, "accuracy": value, **more}
        for label, studies in scores.items()
        for study, seeds in enumerate(studies)
        for seed, value in enumerate(seeds)
    ]


def tuned(values: Sequence[float] = (0.5, 0.9, 0.8), **more: Any) -> list[dict[str, Any]]:
    return [
        {"contender": label, "study": study, "stage": "tuning", "validation": value, "lr": 10.0**-point, **more}
        for label in SCORES
        for study in range(4)
        for point, value in enumerate(values)
    ]


def written(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


def imported(rows: Any, store: Path, **options: Any) -> gradrace.RaceResult:
    return import_runs(rows, **{"metric": "accuracy", "store": store, **options})


class TestJudged:
    def test_the_same_studies_and_seeds_are_paired(self, store: Path) -> None:
        found = imported(confirmed(), store)
        means = {label: np.mean(scores, axis=1) for label, scores in SCORES.items()}
        (pair,) = found.pairs
        assert pair["p"] == pytest.approx(ttest_rel(means["sgd"], means["adam"]).pvalue)
        assert pair["decision"] == "b better"
        assert found.recommendation["sentence"].startswith("Use adam: it scored best on a table (test accuracy 0.93")
        assert found.recommendation["code"] is None
        known = found.to_json()["imported"]
        assert (known["paired"], known["unit"], known["studies"]) == (True, "study", {"sgd": 4, "adam": 4})
        assert any("t test of paired differences" in line for line in known["how"])

    @pytest.mark.parametrize("change", ["other seeds", "one study more", "no seeds", "asked"])
    def test_others_are_compared_by_their_means(self, store: Path, change: str) -> None:
        rows, scores, options = confirmed(), {k: np.array(v) for k, v in SCORES.items()}, {}
        if change == "other seeds":
            rows = [{**row, "seed": row["seed"] + 10 * (row["contender"] == "adam")} for row in rows]
        elif change == "one study more":
            rows += [{"contender": "adam", "study": 4, "seed": seed, "accuracy": 0.9} for seed in (0, 1)]
            scores["adam"] = np.vstack([scores["adam"], [0.9, 0.9]])
        elif change == "no seeds":
            rows = [{name: value for name, value in row.items() if name != "seed"} for row in rows]
        else:
            options = {"paired": False}
        found = imported(rows, store, **options)
        (wanted,) = compare_unpaired(scores, "max")
        assert found.pairs[0]["p"] == pytest.approx(wanted.p)
        assert found.pairs[0]["interval"] == pytest.approx(wanted.interval)
        assert found.to_json()["imported"]["paired"] is False
        assert "Welch's t statistic" in str(found)

    def test_studies_of_different_numbers_of_seeds_count_by_their_means(self, store: Path) -> None:
        rows = confirmed()[:-1]
        found = imported(rows, store)
        row = next(row for row in found.standings if row["label"] == "adam")
        assert row["test"]["values"] == [[pytest.approx(value)] for value in (0.935, 0.93, 0.945, 0.93)]

    def test_names_of_studies_and_seeds_are_names(self, store: Path) -> None:
        """In whatever order they come, those of the same names are paired."""
        rows = [{**row, "study": f"run-{row['study']}", "seed": f"s{row['seed']}"} for row in confirmed()]
        found = imported(list(reversed(rows)), store)
        pair = found.pairs[0]
        assert abs(pair["difference"]) == pytest.approx(imported(confirmed(), store).pairs[0]["difference"] * -1)
        assert pair["p"] == pytest.approx(imported(confirmed(), store).pairs[0]["p"])

    def test_one_study_withholds_the_verdict_and_says_what_could_be_done(self, store: Path) -> None:
        rows = [
            {"contender": label, "seed": seed, "accuracy": value + seed / 1000}
            for label, value in (("sgd", 0.9), ("adam", 0.93))
            for seed in range(5)
        ]
        found = imported(rows, store)
        assert found.pairs[0]["p"] is None
        assert "with fewer than 3 studies no difference can be told from luck" in found.recommendation["sentence"]
        assert any("--unit seed" in warning for warning in found.warnings)
        by_seed = imported(rows, store, unit="seed", paired=False)
        assert by_seed.id != found.id
        assert by_seed.pairs[0]["decision"] == "b better"
        assert by_seed.recommendation["sentence"].endswith("the luck of tuning is not in it.")
        assert any(warning.startswith("The unit here is the seed") for warning in by_seed.warnings)

    def test_few_studies_of_one_contender_leave_the_others_judged(self, store: Path) -> None:
        rows = [*confirmed(), {"contender": "lion", "study": 0, "seed": 0, "accuracy": 0.5}]
        found = imported(rows, store)
        decisions = {(pair["a"], pair["b"]): pair["p"] for pair in found.pairs}
        assert decisions["sgd", "adam"] is not None
        assert decisions["sgd", "lion"] is None
        assert any(warning.startswith("lion: fewer than 3 studies") for warning in found.warnings)

    def test_diverged_runs_count_as_the_worst(self, store: Path) -> None:
        rows = confirmed()
        rows[0] |= {"accuracy": "nan"}
        rows[1] |= {"accuracy": "", "status": "failed", "error": "CUDA error"}
        found = imported(rows, store)
        row = next(row for row in found.standings if row["label"] == "sgd")
        assert row["test"]["values"][0] == [0.0, 0.0]
        assert (row["diverged"], row["failed"]) == (1, 1)
        assert any("CUDA error" in warning for warning in found.warnings)

    def test_tuning_trials_tell_budgets_and_learning_rates(self, store: Path) -> None:
        rows = confirmed(lr=0.1, validation=0.9) + tuned(steps=100)
        found = imported(rows, store)
        assert not found.warnings
        row = found.standings[0]
        assert row["configuration"] == {"lr": 0.1}
        assert row["validation"]["mean"] == pytest.approx(0.9)
        assert row["lr_safe_range"] == pytest.approx([0.1, 0.1])
        assert row["probability_best"]["3"] == pytest.approx(0.5)
        assert found.to_json()["budget"]["at_step"] == 100
        more = imported([*rows, {**tuned()[0], "validation": 0.1, "steps": 100}], store)
        assert any("Tuning trials: sgd 13 and adam 12." in warning for warning in more.warnings)
        assert more.standings[0]["probability_best"] == {}
        assert "best, 1 trial" in str(more)

    def test_unequal_steps_are_told(self, store: Path) -> None:
        rows = [{**row, "steps": 100 if row["contender"] == "sgd" else 200} for row in confirmed()]
        found = imported(rows, store)
        assert any("Steps of the longest: sgd 100 and adam 200." in warning for warning in found.warnings)

    def test_best_values_are_judged_where_that_is_asked_for(self, store: Path) -> None:
        with pytest.raises(SpecError, match="has no confirmation run"):
            imported(tuned(), store)
        rows = [
            {**row, "validation": row["validation"] + 0.05 * (row["contender"] == "adam") + row["study"] / 1000}
            for row in tuned(steps=10)
        ]
        found = imported(rows, store, scored="best")
        assert found.standings[0]["test"]["values"] == [[pytest.approx(0.95 + k / 1000)] for k in range(4)]
        assert any("picked for being the best" in warning for warning in found.warnings)
        assert found.to_json()["imported"]["paired"] is False

    def test_one_contender_is_alone(self, store: Path) -> None:
        found = imported(confirmed({"adam": SCORES["adam"]}), store)
        assert "It raced alone" in found.recommendation["sentence"]

    def test_a_file_a_frame_and_rows_are_alike(self, store: Path, tmp_path: Path) -> None:
        rows = confirmed(lr=0.1)
        path = written(tmp_path / "runs.csv", rows)
        semicolons = written(tmp_path / "semi.csv", rows, ";")
        given = [path, str(semicolons), pandas.DataFrame(rows), rows, iter(rows)]
        tables_of = [imported(source, store).to_json() for source in given]
        assert all(known["pairs"] == tables_of[0]["pairs"] for known in tables_of)
        assert [known["workload"]["name"] for known in tables_of[:2]] == ["runs", "semi"]

    def test_the_same_runs_are_the_same_race(self, store: Path) -> None:
        first, again = imported(confirmed(), store), imported(confirmed(), store)
        assert first.id == again.id
        assert imported(confirmed(), store, name="other").id != first.id
        with open_store(store) as opened:
            assert len(opened.races()) == 2
            assert len(opened.outcomes(first.id)) == 16


class TestAsAnyRace:
    def test_every_report_reads_it(self, store: Path, tmp_path: Path) -> None:
        label = "<script>alert(1)</script>"
        rows = [{**row, "contender": label if row["contender"] == "sgd" else "adam"} for row in confirmed(lr=0.1)]
        found = imported([*rows, *(row for row in tuned() if row["contender"] == "adam")], store)
        json.dumps(found.to_json(), allow_nan=False)
        found.save_html(tmp_path / "race.html")
        assert label not in (tmp_path / "race.html").read_text(encoding="utf-8")
        found.plot("differences")
        found.export(tmp_path / "trials.csv")
        assert label in (tmp_path / "trials.csv").read_text(encoding="utf-8")
        where = (found.id, "--store", str(store))
        for words in (
            ("show", *where),
            ("report", *where, "--markdown", str(tmp_path / "race.md"), "--latex", str(tmp_path / "race.tex")),
            ("races", "--store", str(store)),
            ("plot", *where, "-o", str(tmp_path / "pictures")),
        ):
            done = CliRunner().invoke(cli.app, list(words))
            assert done.exit_code == 0, done.exception
        assert "gradrace trained none of them" in (tmp_path / "race.md").read_text(encoding="utf-8")
        assert label not in (tmp_path / "race.md").read_text(encoding="utf-8")

    def test_it_cannot_go_on(self, store: Path) -> None:
        found = imported(confirmed(), store)
        with pytest.raises(SpecError, match="its runs were imported, and gradrace has nothing to train"):
            gradrace.resume(found.id, store=store)

    @pytest.mark.usefixtures("inline_lanes")
    def test_an_exported_race_comes_back_with_its_verdict(self, store: Path, tmp_path: Path) -> None:
        contenders = [gradrace.Contender("sgd", "=sgd"), "adam"]
        raced = gradrace.race("linear", contenders, studies=3, trials=4, seeds=2, steps=40, store=store)
        raced.export(tmp_path / "trials.csv")
        found = imported(tmp_path / "trials.csv", store, metric="mse")
        for mine, theirs in zip(found.pairs, raced.pairs, strict=True):
            assert {**mine, "p": 0, "p_adjusted": 0} == {**theirs, "p": 0, "p_adjusted": 0}
            assert mine["p"] == theirs["p"]
        for mine, theirs in zip(found.standings, raced.standings, strict=True):
            assert {name: mine[name] for name in ("label", "place", "test", "validation", "configuration")} == {
                name: theirs[name] for name in ("label", "place", "test", "validation", "configuration")
            }
        assert [warning for warning in found.warnings if "Columns" in warning] == []


class TestRefused:
    @pytest.mark.parametrize(
        ("rows", "options", "said"),
        [
            ([{"seed": 1, "accuracy": 1}], {}, "a table has no column 'contender'. It has: seed, accuracy."),
            ([{"contender": "a", "acc": 1}], {}, "has no column 'test', or 'accuracy', with what the runs scored."),
            (confirmed()[:1] + confirmed()[:1], {}, "Row 2 of a table and Row 1 of a table are both the confirmation"),
            (
                [{"contender": "a", "accuracy": "0,9"}],
                {},
                "Row 1 of a table: 'accuracy' must be a number, but is '0,9'.",
            ),
            (
                [{"contender": "a", "accuracy": ""}],
                {},
                "Row 1 of a table has no value of 'test'. Of a run that diverged",
            ),
            ([{"contender": "", "accuracy": 1}], {}, "Row 1 of a table has no contender."),
            ([{"contender": "a\x07", "accuracy": 1}], {}, "The label 'a\\x07' cannot be used"),
            ([{"contender": "a", "accuracy": 1, "steps": -1}], {}, "'steps' must be a whole number of at least 0"),
            ([{"contender": "a", "accuracy": 1, "stage": "tunning"}], {}, "no stage 'tunning'. Did you mean 'tuning'?"),
            ([{"contender": "a", "accuracy": 1, "status": "ok"}], {}, "There is no status 'ok'."),
            ([{"contender": "a", "accuracy": "inf", "status": "finished"}], {}, "but no finite value"),
            ([{"contender": str(n), "accuracy": 1} for n in range(101)], {}, "at most 100 can be compared"),
            (confirmed()[:-1], {"paired": True}, "cannot be compared as pairs"),
            (confirmed(), {"unit": "seed"}, "Contender 'sgd' has 4 studies. The study is the unit then"),
            (confirmed(), {"scored": "best"}, "is a confirmation run. Those are the better measure"),
            (confirmed(), {"unit": "run"}, "There is no unit 'run'."),
            (confirmed(), {"metric": "fun"}, "a table has no column 'test', or 'fun'"),
            (confirmed(), {"columns": {"test": "fun"}}, "no column 'fun', which was said to be 'test'"),
            (confirmed(), {"columns": {"tset": "accuracy"}}, "There is no column 'tset'. Did you mean 'test'?"),
            (confirmed(), {"by": "optimizer"}, "names a parameter of Optuna's trials"),
            (confirmed(), {"direction": "up"}, "The direction must be 'min' or 'max'"),
            (confirmed(), {"name": " "}, "The name ' ' cannot be used"),
            ([], {}, "Runs cannot be imported from list."),
            (3, {}, "Runs cannot be imported from int."),
        ],
    )
    def test_what_no_race_can_be_made_of(self, store: Path, rows: Any, options: dict[str, Any], said: str) -> None:
        with pytest.raises(SpecError) as raised:
            imported(rows, store, **options)
        assert said in str(raised.value)
        assert not store.exists()

    def test_a_metric_whose_direction_nobody_knows(self, store: Path) -> None:
        rows = [{"contender": "a", "fun": 1.0}]
        with pytest.raises(SpecError, match="Is less of 'fun' better, or more"):
            imported(rows, store, metric="fun")
        assert imported(rows, store, metric="fun", direction="max").standings[0]["test"]["mean"] == 1.0

    def test_a_study_has_one_choice(self, store: Path) -> None:
        rows = confirmed(lr=0.1)
        rows[1]["lr"] = 0.2
        with pytest.raises(SpecError, match=r"Row 1 .* and Row 2 .* two configurations \(lr=0.1 and lr=0.2\)"):
            imported(rows, store)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty. Its first line must name the columns."),
            (b"contender,accuracy\n", "has no rows below its first line."),
            (b"contender,accuracy\na,1,2\n", "Line 2 of '"),
            (b"contender,contender\na,1\n", "names the column 'contender' twice."),
            (b"\xff\xfe\x00", "is no text in UTF-8."),
            (b'contender,accuracy\n"a,1\n', "is no CSV: unexpected end of data."),
        ],
    )
    def test_files_that_are_no_tables(self, store: Path, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "runs.csv"
        path.write_bytes(content)
        with pytest.raises(SpecError) as raised:
            imported(path, store)
        assert said in str(raised.value)

    def test_files_that_are_not_there_or_too_large(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(SpecError, match="cannot be read: No such file"):
            imported(tmp_path / "no.csv", store)
        monkeypatch.setattr(tables, "MOST_BYTES", 10)
        with pytest.raises(SpecError, match="bytes; at most 10 are read"):
            imported(written(tmp_path / "runs.csv", confirmed()), store)


class TestCommand:
    def test_import_prints_the_verdict(self, store: Path, tmp_path: Path) -> None:
        rows = [
            {"opt": row["contender"], "k": row["study"], "s": row["seed"], "acc": row["accuracy"], "note": "x"}
            for row in confirmed()
        ]
        path = written(tmp_path / "mine.csv", rows)
        words = ["import", str(path), "--metric", "accuracy", "--store", str(store)]
        done = CliRunner().invoke(cli.app, [*words, "--columns", "contender=opt,study=k,seed=s,test=acc"])
        assert done.exit_code == 0, done.exception
        assert "Use adam: it scored best on mine" in done.stdout
        assert "Columns that were not read: note." in done.stdout
        assert "How much each contender was tuned is not in these runs" in done.stdout
        error = CliRunner().invoke(cli.app, [*words, "--columns", "opt"]).exception
        assert "--columns 'opt' must say which is which" in str(error)


def test_a_run_that_is_nan_in_a_frame_diverged(store: Path) -> None:
    rows = confirmed()
    rows[0]["accuracy"] = math.nan
    found = imported(pandas.DataFrame(rows), store)
    assert found.to_json()["cost"]["trials"] == 16
    assert sum(row["diverged"] for row in found.standings) == 1
