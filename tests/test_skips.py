"""The guard of skip_guard.py: a skip whose reason is not registered fails the run, wherever it was raised."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
SKIP_IN_TEST = "import pytest\ndef test_it(): pytest.skip('{reason}')\n"
SKIP_BY_MARK = "import pytest\n@pytest.mark.skipif(True, reason='{reason}')\ndef test_it(): pass\n"
SKIP_OF_MODULE = "import pytest\npytest.skip('{reason}', allow_module_level=True)\n"


def run(pytester: pytest.Pytester, source: str, *, registered: str, workers: int = 0) -> pytest.RunResult:
    """Runs one file of tests, beside one that passes, under this project's guard in a process of its own."""
    pytester.makepyfile(skip_guard=(HERE / "skip_guard.py").read_text(encoding="utf-8"))
    pytester.makeconftest("from skip_guard import pytest_configure")
    (pytester.path / "allowed_skips.txt").write_text(f"# a comment\n{registered}\n", encoding="utf-8")
    pytester.makepyfile(test_one=source, test_other="def test_passes(): pass\n")
    return pytester.runpytest_subprocess("-n", str(workers))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("source", [SKIP_IN_TEST, SKIP_BY_MARK, SKIP_OF_MODULE], ids=["test", "mark", "module"])
def test_unregistered_skip_fails_the_run(pytester: pytest.Pytester, source: str, workers: int) -> None:
    result = run(pytester, source.format(reason="needs rain"), registered="needs snow", workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*test_one*needs rain", "Register the reason in tests/allowed_skips.txt*"])


@pytest.mark.parametrize("registered", ["needs rain", "needs *"])
def test_registered_skip_passes(pytester: pytest.Pytester, registered: str) -> None:
    result = run(pytester, SKIP_IN_TEST.format(reason="needs rain"), registered=registered)
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1, skipped=1)


def test_registered_reason_is_not_a_prefix_without_a_star(pytester: pytest.Pytester) -> None:
    result = run(pytester, SKIP_IN_TEST.format(reason="needs rain and wind"), registered="needs rain")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_expected_failure_is_not_a_skip(pytester: pytest.Pytester) -> None:
    source = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert 1 + 1 == 3\n"
    assert run(pytester, source, registered="").ret == pytest.ExitCode.OK
