"""The process that draws: one child, started when the first picture is asked for and ended when nobody asks any more.

The bot's own process never imports matplotlib and never draws, so that no picture makes a heartbeat or an answer wait.
Parent and child speak in frames over pipes: a letter, a length, and JSON or a PNG. The child ends with its input, so
also when the bot is killed; it is in a session of its own, so that a Ctrl-C meant for the bot is no business of it; and
it gets no secret: its environment is made here.
"""

import asyncio
import json
import logging
import os
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import bot
from bot.errors import Unavailable
from bot.services.plots import MAX_CURVES, BarSpec, ChartSpec, Curve, Mark, MarkKind, Unit, foremost

PART = "charts"
DEADLINE_S = 15.0
"""For one picture, with the wait for its turn and a first start of the child."""
DRAWING_S = 12.0
"""For the drawing itself and a first start: a child that needs longer hangs, and is replaced."""
IDLE_S = 180.0
WAITING_MAX = 40
"""Pictures that may wait for their turn: at 0.1 s each the last one still comes in time."""
FRAME_MAX = 16 * 2**20
NICENESS = 5
"""Drawing may wait for the bot, never the other way round."""
HANDED_DOWN = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT")
"""What the child takes over of our environment."""
_HEAD = struct.Struct(">cI")
_SPEC, _PICTURE, _FAILED = b"S", b"P", b"F"

_log = logging.getLogger(__name__)


class Charts:
    """Draws pictures, one at a time, in one child process."""

    def __init__(
        self, cache: Path, *, deadline_s: float = DEADLINE_S, drawing_s: float = DRAWING_S, idle_s: float = IDLE_S
    ) -> None:
        """`cache` is a directory in which matplotlib keeps its list of fonts, which costs a second to make."""
        self._cache = cache
        self._deadline_s = deadline_s
        self._drawing_s = drawing_s
        self._idle_s = idle_s
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._child: asyncio.subprocess.Process | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The living child, if there is one."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def render(self, spec: ChartSpec | BarSpec) -> bytes:
        """The picture as PNG.

        Raises:
            Unavailable: it could not be drawn in time, or not at all; the sentence says why.
        """
        if self._waiting >= WAITING_MAX:
            raise Unavailable(PART, f"{self._waiting} pictures wait to be drawn already.")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                async with self._turn:
                    return await self._drawn(spec)
        except TimeoutError:
            raise Unavailable(PART, f"The picture was not drawn within {self._deadline_s:g} s.") from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the child at once. Nothing waits for a picture."""
        self._closed = True
        await self._end()

    async def _drawn(self, spec: ChartSpec | BarSpec) -> bytes:
        if self._closed:
            raise Unavailable(PART, "The bot is ending: nothing is drawn any more.")
        if self._rest is not None:
            self._rest.cancel()
        asked = json.dumps(packed(spec)).encode()
        fresh = self.pid is None
        try:
            kind, body = await self._asked(asked)
        except (OSError, asyncio.IncompleteReadError) as error:
            await self._end()
            if fresh or self._closed:
                raise Unavailable(PART, "The process that draws pictures has ended.") from error
            kind, body = await self._asked_anew(asked)  # it had died while it rested
        self._rest = asyncio.get_running_loop().call_later(self._idle_s, self._let_go)
        if kind == _PICTURE:
            return body
        _log.warning("a picture could not be drawn: %s", body.decode("utf-8", "replace"))
        raise Unavailable(PART, "The picture could not be drawn.")

    async def _asked_anew(self, asked: bytes) -> tuple[bytes, bytes]:
        try:
            return await self._asked(asked)
        except (OSError, asyncio.IncompleteReadError) as error:
            await self._end()
            raise Unavailable(PART, "The process that draws pictures has ended.") from error

    async def _asked(self, asked: bytes) -> tuple[bytes, bytes]:
        """One frame there and one back. What interrupts that ends the child: its answer would be taken for the next."""
        settled = False
        try:
            child = await self._living()
            assert child.stdin is not None and child.stdout is not None
            async with asyncio.timeout(self._drawing_s):
                child.stdin.write(_HEAD.pack(_SPEC, len(asked)) + asked)
                await child.stdin.drain()
                kind, length = _HEAD.unpack(await child.stdout.readexactly(_HEAD.size))
                if length > FRAME_MAX:
                    raise OSError("a frame that is too long")
                body = await child.stdout.readexactly(length)
            settled = True
            return kind, body
        except TimeoutError:
            raise Unavailable(PART, f"The picture was not drawn within {self._drawing_s:g} s.") from None
        finally:
            if not settled:
                self._kill()

    async def _living(self) -> asyncio.subprocess.Process:
        """The child; a new one where there is none."""
        if self._child is None or self._child.returncode is not None:
            self._cache.mkdir(parents=True, exist_ok=True)
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot.ui.chart_process",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True, env=_environment(os.environ, self._cache), limit=2**20,
            )  # fmt: skip
            if self._closed:
                self._kill()
        return self._child

    def _let_go(self) -> None:
        """Nobody has asked for a while: the end of its input ends the child."""
        if self._child is not None and self._child.stdin is not None and not self._turn.locked():
            self._child.stdin.close()

    def _kill(self) -> None:
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.kill()

    async def _end(self) -> None:
        child, self._child = self._child, None
        if self._rest is not None:
            self._rest.cancel()
        if child is None:
            return
        with suppress(ProcessLookupError):
            child.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await child.wait()


def _environment(ours: Mapping[str, str], cache: Path) -> dict[str, str]:
    """The child's: where Python and its modules are, and where matplotlib may write. No secret is among it."""
    kept = {name: ours[name] for name in HANDED_DOWN if name in ours}
    root = str(Path(bot.__file__).resolve().parents[1])
    paths = os.pathsep.join(path for path in (root, kept.get("PYTHONPATH", "")) if path)
    return {**kept, "PYTHONPATH": paths, "HOME": str(cache), "MPLCONFIGDIR": str(cache), "MPLBACKEND": "agg"}


# ---- specs as JSON -------------------------------------------------------------------------------------------------


def packed(spec: ChartSpec | BarSpec) -> dict[str, Any]:
    """The spec as plain values, with the curves that are shown. Times are seconds since 1970."""
    if isinstance(spec, BarSpec):
        return {
            "title": spec.title, "bars": spec.bars, "unit": spec.unit.value, "more": spec.more, "note": spec.note
        }  # fmt: skip
    curves = foremost(spec.curves, MAX_CURVES, lowest=spec.beyond == "<")
    return {
        "title": spec.title,
        "start": spec.start.timestamp(),
        "end": spec.end.timestamp(),
        "step_s": spec.step_s,
        "curves": [(curve.name, curve.points) for curve in curves],
        "unit": spec.unit.value,
        "threshold": spec.threshold,
        "beyond": spec.beyond,
        "marks": [(mark.at.timestamp(), mark.text, mark.kind.value) for mark in spec.marks],
        "more": spec.more + len(spec.curves) - len(curves),
        "note": spec.note,
    }


def unpacked(values: dict[str, Any]) -> ChartSpec | BarSpec:
    """The spec that `packed` made this of."""
    plain = {**values, "unit": Unit(values["unit"])}
    if "bars" in values:
        return BarSpec(**{**plain, "bars": tuple((name, amount) for name, amount in values["bars"])})
    curves = tuple(Curve(name, tuple((at, value) for at, value in points)) for name, points in values["curves"])
    marks = tuple(Mark(_moment(at), text, MarkKind(kind)) for at, text, kind in values["marks"])
    times = {name: _moment(values[name]) for name in ("start", "end")}
    return ChartSpec(**{**plain, **times, "curves": curves, "marks": marks})


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# ---- the child -----------------------------------------------------------------------------------------------------


def _serve(source: BinaryIO, target: BinaryIO) -> None:
    """Draw what comes in until nothing comes any more."""
    from bot.ui.chart import draw

    while len(head := source.read(_HEAD.size)) == _HEAD.size:
        _, length = _HEAD.unpack(head)
        try:
            kind, body = _PICTURE, draw(unpacked(json.loads(source.read(length))))
        except Exception as error:  # the child's border: one bad picture is told, and ends nothing
            kind, body = _FAILED, f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace")
        target.write(_HEAD.pack(kind, len(body)) + body)
        target.flush()


if __name__ == "__main__":
    with suppress(OSError):
        os.nice(NICENESS)
    _serve(sys.stdin.buffer, sys.stdout.buffer)
