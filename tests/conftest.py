"""What holds for every layer of tests: a part that is absent is a named skip.

Under `QUARTERDECK_TEST_STRICT=1` (set by `.ci/run`) nothing may be absent: there it is a failure.
"""

import os
from collections import defaultdict
from collections.abc import Generator

import pytest

from tests import inspection

STRICT = "QUARTERDECK_TEST_STRICT"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get(STRICT) == "1" and report.skipped and not hasattr(report, "wasxfail"):
        text = f"{report.nodeid} was skipped, and {STRICT}=1 allows no skip: {_reason(report)}"
        report.outcome, report.longrepr = "failed", text


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under strictness a skip is a failure with the same reason; an expected failure stays what it is."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself as a whole."""
    report = yield
    _refuse_skip(report)
    return report


def pytest_runtest_teardown() -> None:
    """Note what the exchanges of this test showed, while its name is known."""
    inspection.collect()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """An exchange that is not as others describe it fails the run, whatever the tests say; so do too few of them."""
    inspection.collect()
    inspection.leave_count()
    faults = bool(inspection.totals().mismatches) or (_is_whole(session.config) and bool(inspection.shortfall()))
    if faults and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_whole(config: pytest.Config) -> bool:
    """Whether all of the tests run, and none may be absent, in which the sandbox is talked to."""
    chosen = config.option.keyword or config.option.markexpr
    return os.environ.get(STRICT) == "1" and not chosen and {"tests/wire", "tests/story"} <= set(config.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end what was compared, and what was not run and why, grouped by reason."""
    compared = inspection.lines() + (inspection.shortfall() if _is_whole(config) else [])
    if compared:
        terminalreporter.section("the sandbox beside the descriptions of others")
        for line in compared:
            terminalreporter.write_line(line)
    tests_of: dict[str, set[str]] = defaultdict(set)
    for report in terminalreporter.stats.get("skipped", []):
        tests_of[_reason(report)].add(report.nodeid.split("::")[0])
    if not tests_of:
        return
    terminalreporter.section("skipped, and why")
    for reason, files in sorted(tests_of.items()):
        terminalreporter.write_line(f"{', '.join(sorted(files))}: {reason}")
