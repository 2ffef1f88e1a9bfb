"""The longer private answers about one operation: its log, and everything that an approver may want to know."""

from bot.ops.model import Operation
from bot.ui.card_lines import (
    WAYS,
    checks_line,
    commit_line,
    replaces_line,
    step_line,
    subject,
    takeover_lines,
    telling,
    title,
)
from bot.ui.text import counted, escape, fitted, joined, quoted_tail


def log_text(operation: Operation, limit: int) -> str:
    """Steps, reason and the end of the log, for the person who asks to see them."""
    tail = quoted_tail(telling(operation.log_tail), lines=25, limit=limit - 1400)
    steps = fitted((step_line(step) for step in operation.steps), 700)
    return joined(
        [
            title(operation),
            subject(operation),
            steps or "No step has begun.",
            f"why: {escape(operation.reason, 500)}" if operation.reason else "",
            tail or "No log was kept.",
        ]
    )


def details_text(operation: Operation, limit: int) -> str:
    """Everything that an approver may want to know: all commits, the checks, the rule, the whole digest."""
    shown, plan = operation.shown, operation.plan
    commits = list(shown.get("commits") or ())
    total = int(shown.get("commits_total") or 0)
    changes, versioned = shown.get("lines") or (), operation.kind in WAYS
    head = joined(
        [
            title(operation),
            subject(operation),
            replaces_line(operation) if versioned else "",
            checks_line(shown.get("ci")),
            *takeover_lines(operation),
            f"image {escape(str(plan.get('image') or plan.get('image_tag') or 'unknown'))}" if versioned else "",
            escape(operation.policy_reason, 400),
            f"digest `{operation.digest}`",
            f"{counted(total, 'commit')} go out:" if commits else "",
        ]
    )
    lines = [
        *(commit_line(commit) for commit in commits),
        *(f"- {escape(str(line), 300)}" for line in changes),
    ]
    listed = fitted(lines, limit - len(head) - 80)
    honest = f"only {len(commits)} of {total} are listed" if total > len(commits) else ""
    return joined([head, listed, honest])
