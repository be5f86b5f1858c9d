"""The command line: what it prints, how it exits, and every bad input that has a sentence of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradrace import cli
from gradrace.errors import GradraceError
from gradrace.optimizers import optimizers
from gradrace.race import suite as suites
from gradrace.workloads import workloads

SMALL = ["--studies", "3", "--trials", "4", "--seeds", "2", "--steps", "40"]


def gradrace(*words: str) -> Result:
    """The command line in this process; an error ends as ``main`` would end it."""
    return CliRunner().invoke(cli.app, list(words))


def refused(*words: str) -> str:
    """The sentence a bad input is answered with."""
    error = gradrace(*words).exception
    assert isinstance(error, GradraceError), error
    return str(error)


def test_errors_exit_with_2_and_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["gradrace", "explain", "adm"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gradrace: There is no optimizer 'adm'. Did you mean 'adam'?")
    assert "Traceback" not in said.err


BROKEN = "def deep():\n    raise KeyError('my mistake')\ndeep()\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--optimizers", "adm"], "There is no optimizer 'adm'. Did you mean 'adam'? Known: "),
        (["digit"], "There is no workload 'digit'. Did you mean 'digits'? Known: "),
        (["--optimizers", "sgd,adam,sgd"], "The label 'sgd' stands for two contenders."),
        (["--optimizers", "=sgd"], "The contender '=sgd' has no label before '='."),
        (["--budget", "huge"], "The budget is 'huge', but must be one of: quick, standard, thorough."),
        (["--studies", "0"], "studies must be at least 1, but is 0."),
        (["--trials", "-4"], "trials must be at least 1, but is -4."),
        (["--seeds", "0"], "seeds must be at least 1, but is 0."),
        (["--trials", "6"], "The number of trials is 6, but halving over 3 rungs needs a multiple of 4"),
        (["--steps", "3"], "The number of steps is 3, but 3 rungs at a quarter, a half and the whole"),
        (["--batch-size", "0"], "batch_size must be at least 1, but is 0."),
        (["--engine", "fast"], "engine must be 'auto', 'compiled', 'vectorized' or 'loop', but is 'fast'."),
        (["--schedule", "wild"], "schedule must be 'constant', 'cosine' or 'linear', but is 'wild'."),
        (["--lanes", "0"], "The number of lanes is 0, but must be at least 1."),
        (["--seed", "-1"], "seed must be at least 0, but is -1."),
        (["--device", "cuda"], "The device is 'cuda', but this machine has no CUDA device"),
        (["--json", "nowhere/race.json"], "The result cannot be written to 'nowhere/race.json'"),
        (["--store", "text.db"], "is not a store"),
        (["--store", "text.db/races.db"], "The store cannot be created at 'text.db/races.db': "),
        (["broken.py"], "broken.py raised while it was loaded:"),
        (["empty.py"], "The file empty.py must define workload = Workload(...)"),
        (["missing.py"], "There is no workload file 'missing.py'."),
        (["--suite", "primr"], "There is no suite 'primr'. Did you mean 'primer'? Known: primer."),
        (["digits", "--suite", "primer"], "Both the workload 'digits' and --suite primer were given."),
        (["--suite", "primer", "--profile"], "--profile tells where the seconds of one race went"),
        (["--suite", "primer", "--optimizers", "adm"], "There is no optimizer 'adm'."),
        (["--suite", "primer", "--steps", "3"], "The number of steps is 3"),
        (["--suite", "primer", "--json", "nowhere/suite.json"], "cannot be written to 'nowhere/suite.json'"),
    ],
)
def test_a_bad_race_is_refused_and_nothing_is_written(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name, content in (("text.db", "no database " * 20), ("broken.py", BROKEN), ("empty.py", "x = 1\n")):
        Path(name).write_text(content)
    before = sorted(tmp_path.rglob("*.db"))
    place = [] if "--store" in words else ["--store", "new.db"]
    said = refused("race", *words, *place, "--quiet")
    assert sentence in said
    assert sorted(tmp_path.rglob("*.db")) == before
    if words == ["broken.py"]:
        assert "line 2, in deep" in said
        assert "KeyError: 'my mistake'" in said
        assert "gradrace/" not in said.split("loaded:")[1]


@pytest.mark.usefixtures("inline_lanes")
def test_race_show_races_and_resume(tmp_path: Path) -> None:
    store = str(tmp_path / "races.db")
    raced = gradrace("race", "linear", "--optimizers", "sgd,b=adam", *SMALL, "--store", store)
    assert raced.exit_code == 0, raced.exception
    for part in (
        "Verdict",
        "torch.optim.",
        "Standings on linear: test mse (lower is better)",
        "Pairs",
        "How it was judged",
    ):
        assert part in raced.stdout
    assert "tuning: 24 trials" in raced.stderr
    assert "confirmation: 12 of 12 trials" in raced.stderr

    listed = gradrace("races", "--store", store)
    assert "linear" in listed.stdout
    assert "finished" in listed.stdout
    known = listed.stdout.splitlines()[1].split()[0]
    shown = gradrace("show", known[:5], "--store", store)
    assert shown.stdout == raced.stdout
    assert gradrace("resume", known, "--store", store, "-q").stdout == raced.stdout
    alone = gradrace("show", known, "--store", store, "--json", "-").stdout
    assert json.loads(alone)["race"]["id"] == known

    assert f"There is no race 'ffffff' in the store at {store}. Known: {known}." in refused(
        "show", "ffffff", "--store", store
    )
    assert "There is no race 'ffffff'" in refused("resume", "ffffff", "--store", store)
    absent = str(tmp_path / "absent.db")
    assert f"There is no store at {absent}" in refused("races", "--store", absent)
    assert not Path(absent).exists()


@pytest.mark.usefixtures("inline_lanes")
def test_a_suite_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "suite", lambda name: {"linear": None, "quadratic": None})
    file, place = tmp_path / "suite.json", ["--store", str(tmp_path / "races.db")]
    words = [
        "race",
        "--suite",
        "primer",
        "--optimizers",
        "sgd,b=adam",
        *SMALL,
        "--steps",
        "8",
        "--engine",
        "loop",
        *place,
    ]
    raced = gradrace(*words, "--json", str(file))
    assert raced.exit_code == 0, raced.exception
    for part in ("Suite primer", "quadratic", "b    torch.optim.Adam(", "Across workloads"):
        assert part in raced.stdout
    for part in ("Workload 1 of 2: linear", "Workload 2 of 2: quadratic"):
        assert part in raced.stderr
    suite = json.loads(file.read_text())
    assert (suite["suite"], suite["contenders"]) == ("primer", ["sgd", "b"])
    assert json.loads(gradrace(*words, "--json", "-", "-q").stdout) == suite


def test_a_profile_adds_up(tmp_path: Path) -> None:
    file = tmp_path / "race.json"
    words = ["--optimizers", "sgd", "--engine", "vectorized", "--lanes", "2", "--json", str(file), "--profile", "-q"]
    raced = gradrace("race", "linear", *words, *SMALL, "--store", str(tmp_path / "races.db"))
    assert raced.exit_code == 0, raced.exception
    cost = json.loads(file.read_text())["cost"]
    assert sum(cost["profile"].values()) == pytest.approx(cost["profile"]["start"] + cost["seconds"], abs=1e-6)
    assert all(seconds >= 0 for seconds in cost["profile"].values())
    assert set(cost["profile"]) >= {"start", "import", "train", "evaluate", "store", "idle", "end"}
    lines = raced.stdout.splitlines()
    (head,) = [place for place, line in enumerate(lines) if line.split() == ["seconds", "share", "what"]]
    (end,) = [place for place, line in enumerate(lines) if line.startswith("total ")]
    rows = {line.split()[0]: line.split()[1:3] for line in lines[head + 1 : end]}
    found = {name: float(seconds) for name, (seconds, _) in rows.items()}
    # What this process did before the race was asked for is in the table alone.
    assert found.pop("start") > cost["profile"].pop("start")
    assert found == {name: pytest.approx(seconds, abs=0.00501) for name, seconds in cost["profile"].items()}
    total = float(lines[end].split()[1])
    assert sum(float(seconds) for seconds, _ in rows.values()) == pytest.approx(total, abs=0.01 * len(rows))
    assert sum(float(share.rstrip("%")) for _, share in rows.values()) == pytest.approx(100, abs=0.1 * len(rows))


def test_what_there_is_and_what_it_means() -> None:
    listed = gradrace("list", "optimizers").stdout
    assert all(name in listed for name in optimizers())
    assert all(name in gradrace("list", "workloads").stdout for name in workloads())
    for name, optimizer in optimizers().items():
        explained = gradrace("explain", name).stdout
        for part in (optimizer.card.formula[-1], optimizer.code({}), optimizer.card.link, *optimizer.card.relatives):
            assert part in explained
    assert gradrace("--version").stdout.startswith("gradrace ")
