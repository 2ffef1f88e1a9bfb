"""What the host's deploy script says: `::step`, `::log`, `::failed` and `::result` lines; everything else is log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.ops.model import StepState

STEPS: Mapping[str, str] = {
    "pull": "Pull",
    "start": "Start",
    "health": "Healthy",
    "switch": "Switch",
    "drain": "Drain",
    "verify": "Checked",
}
"""The host's step names and what the card calls them."""
_STATES: Mapping[str, StepState] = {"running": "running", "ok": "ok", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the host's script has said so far."""

    steps: tuple[tuple[str, StepState, str], ...]
    failed: str
    log: tuple[str, ...]
    result: Mapping[str, Any] | None


def read_transcript(output: str) -> Transcript:
    """Parse the script's output; lines that are cut or not ours count as log.

    Only a newline ends a line: the many other ends that Unicode knows may stand within a log, which could otherwise
    speak in the script's name.
    """
    steps: dict[str, tuple[str, StepState, str]] = {}
    failed, log, result = "", list[str](), None
    for line in output.rstrip("\n").split("\n") if output else ():
        match line.rstrip("\r").split(" ", 3):
            case ["::step", name, state, *rest] if name in STEPS and state in _STATES:
                steps[name] = (STEPS[name], _STATES[state], " ".join(rest))
            case ["::failed", *rest]:
                failed = " ".join(rest)
            case ["::result", *rest]:
                result = _object(" ".join(rest))
            case ["::log", *rest]:
                log.append(" ".join(rest))
            case _:
                log.append(line)
    return Transcript(tuple(steps.values()), failed, tuple(log), result)


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
