"""The doctor's way of asking: in order, with deadlines, and one bad check never hides the others."""

import threading

import pytest

from bot.doctor.examination import Check, examine
from bot.doctor.findings import State, Verdict, fine, not_examined, warning, wrong
from bot.doctor.report import healthy, lines, record
from bot.errors import Refused, Unavailable, Unreachable


def check(name: str, verdict: Verdict, *, needs: str = "") -> Check:
    return Check(name, lambda: verdict, needs)


def raising(name: str, error: Exception) -> Check:
    def look() -> Verdict:
        raise error

    return Check(name, look)


def test_findings_come_in_the_order_of_the_checks_whichever_part_is_slower() -> None:
    late = threading.Event()

    def slow() -> Verdict:
        late.wait(5)
        return fine("at last")

    def quick() -> Verdict:
        late.set()
        return fine("at once")

    found = examine([[Check("slow", slow), check("after", fine("yes"))], [Check("quick", quick)]])
    assert [finding.check for finding in found] == ["slow", "after", "quick"]
    assert all(finding.state is State.OK for finding in found)


def test_a_check_that_hangs_is_wrong_after_its_deadline_and_the_next_is_asked() -> None:
    never = threading.Event()

    def hang() -> Verdict:
        never.wait()
        return fine("never said")

    found = examine([[Check("hangs", hang), check("next", fine("fine"))]], deadline_s=0.1)
    assert [finding.state for finding in found] == [State.WRONG, State.OK]
    assert "no answer within 0.1 s" in found[0].verdict.says and found[0].verdict.mend
    never.set()


@pytest.mark.parametrize(
    ("error", "says", "mend"),
    [
        (Unreachable("aws", "AWS SSM cannot be reached."), "cannot be reached", "firewall"),
        (Unavailable("github", "GitHub answered 500.", status=500), "answered 500", "trouble of its own"),
        (Unavailable("discord", "Discord answered 429.", status=429, retry_after_s=40), "429", "again in 40 s"),
        (Refused("That is not possible."), "not possible", "Mend"),
        (ZeroDivisionError("by zero"), "the check itself broke (ZeroDivisionError: by zero)", "Report"),
    ],
)
def test_whatever_a_check_meets_becomes_its_verdict_with_a_mend(error: Exception, says: str, mend: str) -> None:
    found = examine([[raising("meets it", error), check("next", fine("fine"))]])
    assert found[0].state is State.WRONG and says in found[0].verdict.says and mend in found[0].verdict.mend
    assert found[1].state is State.OK


def test_what_depends_on_a_wrong_check_is_not_examined_down_the_whole_chain() -> None:
    found = examine(
        [
            [
                check("first", wrong("bad", "mend it")),
                check("second", fine("never asked"), needs="first"),
                check("third", fine("never asked"), needs="second"),
                check("other", fine("asked")),
            ]
        ]
    )
    assert [finding.state for finding in found] == [State.WRONG, State.NOT_EXAMINED, State.NOT_EXAMINED, State.OK]
    assert "“first” must be mended first" in found[1].verdict.says


def test_a_warning_is_no_obstacle_for_what_depends_on_it() -> None:
    found = examine([[check("first", warning("odd", "mend it")), check("second", fine("asked"), needs="first")]])
    assert [finding.state for finding in found] == [State.WARNING, State.OK] and healthy(found)


@pytest.mark.parametrize(("verdict", "well"), [(wrong("bad", "mend"), False), (not_examined("no"), False)])
def test_what_is_wrong_or_was_left_out_is_not_healthy(verdict: Verdict, well: bool) -> None:
    found = examine([[check("one", verdict), check("two", fine("fine"))]])
    assert healthy(found) is well and record(found)["healthy"] is well


def test_each_finding_is_one_line_with_its_mend_and_the_last_line_sums_up() -> None:
    found = examine([[check("a", fine("good")), check("long name", wrong("bad", "mend it"))]])
    assert lines(found) == [
        "ok       a          good",
        "WRONG    long name  bad -> mend it",
        "",
        "2 checks: 1 ok, 1 wrong.",
    ]
