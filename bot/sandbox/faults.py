"""Faults that a person or a test switches on: what a part of the world does wrong, how often and for how long.

One kind is not the part's own: `kill` ends the bot with SIGKILL at the very moment of a request, `when` it has come in
and nothing was done yet (`before`), or when it was carried out and the answer is still to be sent (`after`).
"""

import itertools
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["status", "latency", "refuse", "rate_limit", "lost_reply", "drop_gateway", "kill"]
KINDS: tuple[str, ...] = get_args(Kind)
When = Literal["before", "after"]


@dataclass(slots=True)
class Fault:
    """One fault. `match` is searched in `METHOD path`, with and without the query, and in the action.

    `times` and `ends_at` bound its life; the first `skip` matching requests pass untouched.
    """

    id: int
    part: str
    kind: str
    match: re.Pattern[str]
    status: int | None = None
    seconds: float | None = None
    times: int | None = None
    ends_at: float | None = None
    when: When = "before"
    skip: int = 0
    hits: int = field(default=0)

    def alive(self) -> bool:
        return (self.times is None or self.hits < self.times) and (
            self.ends_at is None or time.monotonic() < self.ends_at
        )

    def describe(self) -> dict[str, Any]:
        left = None if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())
        return {
            "fault": self.id,
            "part": self.part,
            "kind": self.kind,
            "match": self.match.pattern,
            "status": self.status,
            "seconds": self.seconds,
            "times": self.times,
            "when": self.when,
            "skip": self.skip,
            "hits": self.hits,
            "left_s": left,
        }


class Faults:
    """The faults that are switched on. `executioner` is what a `kill` calls: it returns once the bot is dead."""

    def __init__(self) -> None:
        self.executioner: Callable[[], Awaitable[None]] | None = None
        self._faults: dict[int, Fault] = {}
        self._ids = itertools.count(1)

    def add(
        self,
        part: str,
        kind: str,
        *,
        match: str = "",
        status: int | None = None,
        seconds: float | None = None,
        times: int | None = None,
        for_s: float | None = None,
        when: When = "before",
        skip: int = 0,
    ) -> Fault:
        """Switch one on.

        Raises:
            ValueError: the kind is unknown or `match` is no regular expression; the text says which.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        try:
            pattern = re.compile(match)
        except re.error as error:
            raise ValueError(f"match is not a regular expression: {error}") from error
        ends_at = None if for_s is None else time.monotonic() + for_s
        fault = Fault(next(self._ids), part, kind, pattern, status, seconds, times, ends_at, when, skip)
        self._faults[fault.id] = fault
        return fault

    def remove(self, fault_id: int) -> bool:
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        self._faults.clear()

    def active(self) -> list[Fault]:
        self._faults = {k: f for k, f in self._faults.items() if f.alive()}
        return list(self._faults.values())

    def hit(self, part: str, *names: str, kinds: tuple[str, ...] = KINDS) -> Fault | None:
        """The first live fault of the part that matches one of the names, counted as one hit."""
        for fault in self.active():
            if fault.part == part and fault.kind in kinds and any(fault.match.search(n) for n in names):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                return fault
        return None

    async def kill_bot(self) -> None:
        """End the bot outright; returns once it is dead, so that it can notice nothing of what follows."""
        if self.executioner is not None:
            await self.executioner()
