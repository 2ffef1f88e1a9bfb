"""The words of an operation's card, block by block, at phone width (about 36 characters a line). No components here."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from urllib.parse import urlsplit

from bot.ops.model import Operation, Status, Step, Verdict, Vote
from bot.policy import Door
from bot.ui.text import counted, duration, escape, joined, moment, quoted, quoted_tail, stamp

COMMITS_ON_CARD = 4
STEP_TEXT = 40
"""Characters of a step's text: about a line on a phone."""
DEPLOY_STEPS = ("Build", "Pull", "Start", "Healthy", "Switch", "Drain", "Verify")
"""The way of a deploy. A rollback builds nothing."""
WAYS = {"deploy": DEPLOY_STEPS, "rollback": DEPLOY_STEPS[1:]}
"""The kinds that put a version somewhere, and what they do on the way; other kinds name their steps as they come."""
CHANGES_ON_CARD = 15
_RUNNER_TIME = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z ")
_RUNNER_GROUPS = ("##[group]", "##[endgroup]")
WAITING = (Status.PENDING, Status.APPROVED)
SWITCHING = ("Switch", "Drain", "Checked", "Verify")
"""From the first of these on, the new version may be the one that serves."""


@dataclass(frozen=True, slots=True)
class Face:
    """How a status looks: the accent colour, the word in the title, and the sentence that explains it."""

    colour: int
    word: str
    sentence: str


FACES: dict[Status, Face] = {
    Status.PENDING: Face(0xE3A008, "waiting", "Waits for approval; nothing runs yet."),
    Status.APPROVED: Face(0x8A8F98, "approved", "Approved; starts as soon as it can."),
    Status.RUNNING: Face(0x3B82F6, "running", "Runs now."),
    Status.SUCCEEDED: Face(0x22A559, "succeeded", "Done and checked."),
    Status.FAILED: Face(0xDA373C, "failed", "Ended without success."),
    Status.DENIED: Face(0xA12D2F, "denied", "Somebody said no; nothing was done."),
    Status.EXPIRED: Face(0x6B7280, "expired", "Too much time passed; nothing was done."),
    Status.CANCELLED: Face(0x6B7280, "cancelled", "Stopped on request."),
    Status.STALE: Face(0xB7791F, "stale", "No longer what was shown; nothing was done."),
    Status.INTERRUPTED: Face(0x8B5CF6, "interrupted", "What happened outside is not certain: a human must look."),
}
QUEUED = Face(0x8A8F98, "queued", "Waits for its turn; nothing runs yet.")


def face_of(operation: Operation) -> Face:
    """The status as people see it: an approved operation that waits for a lock is queued."""
    if operation.status is Status.APPROVED and operation.waiting_for:
        return QUEUED
    return FACES[operation.status]


def short(commit: str) -> str:
    """A commit as people name it. Services say themselves which one they run, so only letters and digits are kept."""
    return "".join(character for character in commit[:7] if character.isascii() and character.isalnum())


def title(operation: Operation) -> str:
    """The first line of every message about an operation; the board finds its messages again by it."""
    return f"**{operation.kind.upper()} {face_of(operation).word}** · {operation.short_id}"


def subject(operation: Operation) -> str:
    """What goes where: `app > prod · 4f1c2a9`."""
    return f"{operation.service} > {operation.environment} · {operation.target}"


def replaced(operation: Operation) -> str:
    """The commit that runs, or ran, before; empty when it is not known."""
    before = operation.result.get("previous") or operation.plan.get("replaces") or {}
    return str(before.get("commit", ""))


def took(operation: Operation) -> str:
    """How long it ran; empty before it started."""
    if operation.started_at is None or operation.ended_at is None:
        return ""
    return duration(operation.ended_at - operation.started_at)


def heading(operation: Operation) -> str:
    lasted = took(operation)
    return f"{title(operation)}\n{subject(operation)}" + (f" · {lasted}" if lasted else "")


def body(operation: Operation, votes: Sequence[Vote], *, self_approval: bool) -> str:
    """What there is to say in this status."""
    match operation.status:
        case Status.PENDING:
            needs = _needs(operation, votes, self_approval)
            return joined([*_change(operation), *takeover_lines(operation), *_readiness(operation), *needs])
        case Status.APPROVED:
            return joined([*_queue(operation), *_change(operation), *takeover_lines(operation)])
        case Status.RUNNING:
            return joined([*_steps(operation), *_meanwhile(operation), *takeover_lines(operation)])
        case Status.SUCCEEDED:
            return joined(_success(operation))
        case Status.FAILED:
            return joined(_failure(operation))
        case Status.INTERRUPTED:
            return joined([*_reason(operation), *_steps(operation), *_held(operation)])
        case Status.DENIED | Status.EXPIRED | Status.CANCELLED | Status.STALE:
            return joined([*_reason(operation), *_did(operation), *_title_of_commit(operation)])
    assert_never(operation.status)


def footer(operation: Operation, votes: Sequence[Vote]) -> str:
    """Who, and the small print."""
    names = [vote.person for vote in votes if vote.verdict is Verdict.APPROVE]
    door = "" if operation.door is Door.DISCORD else f" at the {operation.door}"
    who = f"asked {escape(operation.requester)}{door}" + (f" · approved {escape(', '.join(names))}" if names else "")
    if any(vote.verdict is Verdict.DENY for vote in votes):
        who += " · denied " + escape(", ".join(v.person for v in votes if v.verdict is Verdict.DENY))
    if not operation.roles_confirmed:
        who += "\n**roles not confirmed**: Discord could not be asked, the people table spoke alone"
    small = [_ahead(operation), f"digest {operation.digest[:6]}"]
    if operation.parent_id is not None:
        small.append(f"after #{operation.parent_id}")
    small.append(_clock(operation))
    return f"{who}\n-# {' · '.join(part for part in small if part)}"


def _ahead(operation: Operation) -> str:
    """How far the branch had moved on when that was last read: at the request, and again at the start."""
    ahead = int(operation.shown.get("branch_ahead") or 0)
    if not ahead or operation.status not in (*WAITING, Status.RUNNING, Status.SUCCEEDED):
        return ""
    branch = escape(str(operation.shown.get("branch", "the branch")))
    newest = short(str((operation.shown.get("newest") or {}).get("sha", "")))
    verb = "is" if operation.status in WAITING else "was"
    return f"{branch} {verb} {ahead} ahead" + (f" ({newest})" if newest else "")


def _clock(operation: Operation) -> str:
    if operation.ended_at is not None:
        return f"ended {stamp(operation.ended_at)}"
    if operation.started_at is not None:
        return f"started {stamp(operation.started_at)}"
    return f"asked {stamp(operation.created_at)}"


# ---- what would change ---------------------------------------------------------------------------------------------


def _title_of_commit(operation: Operation) -> Iterator[str]:
    yield quoted(str(operation.shown.get("title", "")), 120)


def _listed(operation: Operation) -> Iterator[str]:
    """What a change that is no version consists of, in sentences of its own."""
    lines = [f"- {escape(str(line), 200)}" for line in operation.shown.get("lines") or ()]
    yield from lines[:CHANGES_ON_CARD]
    yield f"and {len(lines) - CHANGES_ON_CARD} more in Details" if len(lines) > CHANGES_ON_CARD else ""


def _change(operation: Operation) -> Iterator[str]:
    shown = operation.shown
    if operation.kind not in WAYS:
        yield from _title_of_commit(operation)
        yield from _listed(operation)
        return
    commits = list(shown.get("commits") or ())
    if len(commits) > 1:
        yield from (commit_line(commit) for commit in commits[:COMMITS_ON_CARD])
        yield _more_commits(shown, min(len(commits), COMMITS_ON_CARD))
    else:
        yield from _title_of_commit(operation)
        author = escape(str(shown.get("author", "")))
        yield f"commit by {author}" if author else ""
    if shown.get("goes_back"):
        yield "goes BACK: what runs now holds commits that this has not"
    yield replaces_line(operation)
    verified = moment(shown.get("verified_at"))
    if verified is not None:
        yield f"ran here as #{shown.get('to_operation')}, {stamp(verified)}"
    ran_in = shown.get("ran_in")
    if ran_in:
        yield f"runs in {ran_in['environment']}, since {stamp(datetime.fromisoformat(ran_in['since']))}"


def commit_line(commit: dict[str, Any]) -> str:
    """One commit, alone on its quoted line: `4f1c2a9 Fix cart rounding · harbour-dev · #12`."""
    words, pull = str(commit["title"]), f"#{commit['pr']}" if commit.get("pr") else ""
    author = escape(str(commit["author"]), 39) if commit.get("author") else ""
    parts = [escape(words, 72), author, pull if pull not in words else ""]
    return f"> {commit['sha']} " + " · ".join(part for part in parts if part)


def _more_commits(shown: Any, listed: int) -> str:
    more = int(shown.get("commits_total") or 0) - listed
    return f"and {counted(more, 'more commit')}" if more > 0 else ""


def replaces_line(operation: Operation) -> str:
    """What is replaced, how long it has served, and how that is known."""
    commit = short(replaced(operation))
    if not commit:
        return "replaces nothing that is known"
    since = moment(operation.shown.get("replaces_since"))
    known = str(operation.shown.get("replaces_known", ""))
    age = f" ({known or 'live'}, since {stamp(since)})" if since else f" ({known})" if known else ""
    return f"replaces {commit}{age}" + (", put there by hand" if operation.shown.get("by_hand") else "")


def _readiness(operation: Operation) -> Iterator[str]:
    yield checks_line(operation.shown.get("ci"))
    if operation.kind == "deploy":
        yield "image ready" if operation.shown.get("image_ready") else "image must be built first"


def checks_line(checks: Any) -> str:
    """CI in a line: `CI ok 14/14`."""
    if not checks:
        return ""
    passed, total = checks["passed"], checks["total"]
    match checks["state"]:
        case "success":
            return f"CI ok {passed}/{total}"
        case "pending":
            return f"CI still runs {passed}/{total}"
        case "none":
            return "CI unknown: no check has reported"
        case _:
            return f"CI red {passed}/{total}: {escape(', '.join(checks['failing']), 80)}"


def _needs(operation: Operation, votes: Sequence[Vote], self_approval: bool) -> Iterator[str]:
    approvers = " or ".join(operation.approver_roles)
    other = "" if self_approval else f", not {escape(operation.requester)}"
    ends = f" · ends {stamp(operation.expires_at)}" if operation.expires_at else ""
    yield f"**needs {operation.quorum} {approvers}{other}**{ends}"
    given = sum(vote.verdict is Verdict.APPROVE for vote in votes)
    if given:
        yield f"{given} of {operation.quorum} have approved"


# ---- on its way ----------------------------------------------------------------------------------------------------


def _queue(operation: Operation) -> Iterator[str]:
    yield escape(operation.waiting_for, 300) if operation.waiting_for else FACES[Status.APPROVED].sentence


def _steps(operation: Operation) -> Iterator[str]:
    yield from (step_line(step) for step in operation.steps)
    if operation.status is Status.RUNNING:
        known = {step.name for step in operation.steps}
        way = WAYS.get(operation.kind, ())
        after = [name for name in way[_furthest(way, known) :] if name not in known]
        yield f"… {', '.join(after)}" if after else ""


def _furthest(way: Sequence[str], known: set[str]) -> int:
    return max((number + 1 for number, name in enumerate(way) if name in known), default=0)


def step_line(step: Step) -> str:
    """One step: `ok Pull · 6 s`."""
    words = {"ok": "ok", "running": "→", "failed": "✗ failed:", "waiting": "…", "skipped": "– skipped:"}
    parts = [f"{words[step.state]} {step.name}", escape(step.text, STEP_TEXT)]
    if step.seconds is not None and step.state in ("ok", "running", "failed"):
        parts.append(duration(step.seconds))
    return " · ".join(part for part in parts if part)


def _meanwhile(operation: Operation) -> Iterator[str]:
    if operation.cancel_requested_at is not None:
        yield f"**{escape(operation.cancel_requested_by)} asked to cancel**; not verified yet"
    if operation.waiting_for:
        yield f"waits: {escape(operation.waiting_for, 300)}"
    before = short(replaced(operation))
    if before and not any(step.name in SWITCHING for step in operation.steps):
        yield f"{before} still serves"


def takeover_lines(operation: Operation) -> Iterator[str]:
    """Whose locks it takes, and what the host answered when that was asked."""
    for other in operation.shown.get("takes_over") or ():
        what = f"{other.get('kind', '')} of {other.get('target', '')}, asked {other.get('requester', '')}"
        yield f"takes over the lock of #{other['id']}, which is interrupted ({escape(what, 120)})"
    answers = operation.shown.get("answers")
    if operation.takes_over and answers:
        health = "healthy" if answers.get("healthy") else "NOT healthy"
        commit = short(str(answers.get("commit", "")))
        yield f"the host answers: {commit} *{answers.get('known', '')}*, {health}" if commit else "the host: *unknown*"


# ---- over ----------------------------------------------------------------------------------------------------------


def _success(operation: Operation) -> Iterator[str]:
    result = operation.result
    yield "**live, checked**: image + /health" if result.get("health") else FACES[Status.SUCCEEDED].sentence
    url = str(result.get("url", ""))
    yield address(url) if url else ""
    yield from _title_of_commit(operation)
    yield from _listed(operation)
    before = short(replaced(operation))
    yield f"replaced {before}" if before and before != operation.target else ""
    if operation.kind == "deploy" and result:
        built_from = short(str(result.get("built_from", "")))
        origin = f", built from {built_from}" if built_from else ""
        yield f"reused image{origin}" if result.get("reused_image") else f"new image{origin}"


def address(url: str) -> str:
    """An address as text that nobody can dress up as another."""
    parts = urlsplit(url)
    return f"`{url}`" if "`" not in url and parts.scheme in ("http", "https") else escape(url)


def _reason(operation: Operation) -> Iterator[str]:
    if operation.status is Status.DENIED and operation.reason:
        yield quoted(operation.reason, 600)
    else:
        yield escape(operation.reason, 600) if operation.reason else face_of(operation).sentence


def _failure(operation: Operation) -> Iterator[str]:
    before = short(replaced(operation))
    if operation.kind not in WAYS:
        yield "**NOT IN FORCE.**"
    elif not any(step.name in SWITCHING for step in operation.steps):
        told = "NOT LIVE" in operation.reason  # by the host, and it may be something else than before
        yield "**NOT LIVE.**" + (f" {before} still serves." if before and not told else "")
    elif "NOT LIVE" not in operation.reason:
        yield "**NOT LIVE.**" + (f" {before} served before." if before else "")
    yield f"why: {escape(operation.reason, 600)}"
    yield quoted_tail(telling(operation.log_tail), lines=3, limit=500)
    yield from _did(operation)


def telling(log: str) -> str:
    """A log without what GitHub's runner puts around the lines: times, and marks of groups."""
    lines = (_RUNNER_TIME.sub("", line) for line in log.splitlines())
    return "\n".join(line.replace("##[error]", "error: ") for line in lines if not line.startswith(_RUNNER_GROUPS))


def _did(operation: Operation) -> Iterator[str]:
    done = [step.name for step in operation.steps if step.state == "ok"]
    undone = [step.name for step in operation.steps if step.state in ("failed", "skipped", "running", "waiting")]
    if operation.started_at is None:
        return
    yield f"did: {', '.join(done)}" if done else "did: nothing"
    yield f"did not: {', '.join(undone)}" if undone else ""


def _held(operation: Operation) -> Iterator[str]:
    if operation.locks_taken_by is not None:
        yield f"#{operation.locks_taken_by} has taken its lock over, so it cannot go on: close it with what was found"
        return
    yield f"keeps the lock of {escape(', '.join(operation.locks))}" if operation.locks else ""
