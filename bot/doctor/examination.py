"""Doing the checks: the parts beside each other, one part's checks in order, each with a deadline.

One check that fails, hangs or breaks never stops the others. All of it is synchronous, on threads that nobody waits
for at the end, because the SDKs that are used here are.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.doctor.findings import Finding, State, Verdict, not_examined, wrong
from bot.errors import QuarterdeckError, Unavailable

DEADLINE_S = 20.0
"""For one check; the slowest one imports an SDK first."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `needs` names the check without whose success it makes no sense to ask."""

    name: str
    look: Callable[[], Verdict]
    needs: str = ""


Part = Sequence[Check]
"""Checks that are done one after the other."""


def examine(parts: Sequence[Part], *, deadline_s: float = DEADLINE_S) -> list[Finding]:
    """Every finding, in the order of the checks."""
    done: list[queue.SimpleQueue[list[Finding]]] = [queue.SimpleQueue() for _ in parts]
    for part, results in zip(parts, done, strict=True):
        threading.Thread(target=lambda p=part, r=results: r.put(_of_part(p, deadline_s)), daemon=True).start()
    return [finding for results in done for finding in results.get()]


def _of_part(part: Part, deadline_s: float) -> list[Finding]:
    found: dict[str, Finding] = {}
    for check in part:
        before = found.get(check.needs)
        if before is not None and before.state in (State.WRONG, State.NOT_EXAMINED):
            verdict = not_examined(f"“{check.needs}” must be mended first")
        else:
            verdict = _within(check, deadline_s)
        found[check.name] = Finding(check.name, verdict)
    return list(found.values())


def _within(check: Check, deadline_s: float) -> Verdict:
    """The check's verdict, or that it did not come in time; its thread is left behind then."""
    answers: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_looked(check)), name=check.name, daemon=True).start()
    try:
        return answers.get(timeout=deadline_s)
    except queue.Empty:
        return wrong(f"no answer within {deadline_s:g} s", "Is the way to it open (proxy, firewall, DNS)? Ask again.")


def _looked(check: Check) -> Verdict:
    """The border of the doctor: whatever a check meets becomes its verdict."""
    try:
        return check.look()
    except Unavailable as error:
        return wrong(str(error), _mend_of(error))
    except QuarterdeckError as error:
        return wrong(str(error), "Mend what the sentence says, and ask again.")
    except Exception as error:  # one broken check must not hide what the others have to say
        return wrong(f"the check itself broke ({type(error).__name__}: {error})", "Report this; it is a fault of ours.")


def _mend_of(error: Unavailable) -> str:
    if error.retry_after_s is not None:
        return f"It asks for a pause: try again in {error.retry_after_s:.0f} s."
    if error.status is None:
        return "Is it up, and the way to it open (proxy, firewall, DNS)? Ask again."
    return "Read what it answered: a right is missing, or the service has trouble of its own."
