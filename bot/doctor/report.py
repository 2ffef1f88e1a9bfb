"""How the findings are told: a line each with the mend beside what is wrong, or JSON for a program."""

from collections import Counter
from collections.abc import Mapping, Sequence

from bot.doctor.findings import Finding, State

MARKS = {State.OK: "ok", State.WARNING: "warning", State.WRONG: "WRONG", State.NOT_EXAMINED: "-"}


def lines(findings: Sequence[Finding]) -> list[str]:
    """One line for each finding, and one that sums up."""
    width = max((len(finding.check) for finding in findings), default=0)
    told = [
        f"{MARKS[finding.state]:<8} {finding.check:<{width}}  {finding.verdict.says}"
        + (f" -> {finding.verdict.mend}" if finding.verdict.mend else "")
        for finding in findings
    ]
    return [*told, "", summary(findings)]


def summary(findings: Sequence[Finding]) -> str:
    """How many are how."""
    counts = Counter(finding.state for finding in findings)
    words = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    return f"{len(findings)} checks: {words}."


def record(findings: Sequence[Finding]) -> Mapping[str, object]:
    """For programs: `{healthy, findings: [{check, state, says, mend}]}`."""
    rows = [
        {"check": f.check, "state": f.state.value, "says": f.verdict.says, "mend": f.verdict.mend} for f in findings
    ]
    return {"healthy": healthy(findings), "findings": rows}


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is wrong; warnings are no obstacle."""
    return all(finding.state in (State.OK, State.WARNING) for finding in findings)
