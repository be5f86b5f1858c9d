"""Fails a session in which a test was skipped for a reason that is not in allowed_skips.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


def allowed_reasons() -> list[str]:
    """The registered reasons, without comments and empty lines."""
    lines = (line.strip() for line in ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def is_allowed(reason: str, allowed: list[str]) -> bool:
    """Whether the reason is registered; a * at the end of a registered one stands for any ending."""
    return any(reason.startswith(entry[:-1]) if entry.endswith("*") else reason == entry for entry in allowed)


class SkipGuard:
    """Collects skips as they are reported, by workers too, and fails the session for unregistered ones."""

    def __init__(self) -> None:
        self.allowed = allowed_reasons()
        self.unregistered: dict[str, str] = {}

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Remembers a skip that is not registered; an expected failure is none."""
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        detail = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = detail.removeprefix("Skipped: ")
        if not is_allowed(reason, self.allowed):
            self.unregistered[report.nodeid] = reason

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unregistered and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.unregistered:
            return
        terminalreporter.section("skipped for a reason that is not registered", red=True)
        for nodeid, reason in sorted(self.unregistered.items()):
            terminalreporter.line(f"{nodeid}: {reason}")
        terminalreporter.line(f"Register the reason in tests/{ALLOWED_SKIPS.name}, or let the test run.")


def pytest_configure(config: pytest.Config) -> None:
    """Puts the guard into the main process; what workers skip arrives there as reports."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipGuard(), "gradrace-skip-guard")
