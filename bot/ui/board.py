"""The board: the only place that posts or edits channel messages. It keeps every card equal to the rows it shows.

Truth is in the table `cards`: a card is dirty while `wanted` is ahead of `shown`. The board takes the most urgent dirty
card of each channel, draws the newest rows, posts or edits, and notes what is shown. A crash, an outage or a rate
limit delays a card and never loses or doubles one: a post's nonce is saved before the post, and after two minutes of
doubt the channel is searched before anything is posted again. One attempt a request; trying again is decided here.
Old messages may be edited only now and then; where that is too seldom, a successor takes a message's place. While
Discord is away a single request asks for it (`reach`); in a storm of alerts many groups share a message (`storms`).
The requests themselves are in `postings`, which nothing else uses.
"""

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import discord

from bot.db.cards import Priority
from bot.errors import Unavailable
from bot.metrics import Metrics
from bot.ops.model import Operation
from bot.ui.board_store import BoardStore, CardRow, utc_now
from bot.ui.buckets import Buckets, NotTaken
from bot.ui.pins import TOPIC, Pins
from bot.ui.postings import Channels, Postings
from bot.ui.reach import Reach
from bot.ui.rendering import Rendering
from bot.ui.renderings import AUDITED, Renderings
from bot.ui.storms import Storms

POLL_S = 1.0
"""How often rows are looked at when nobody woke the board (another process may have written them)."""
PROGRESS_PAUSE = timedelta(seconds=2)
OLD_PAUSE = timedelta(minutes=1)
"""Between two edits of a message that is an hour old: what Discord allows there must last for all of them."""
LONGEST_LAG_S = 30.0
"""So long a message may show what is no longer true because it is too old to be edited; then a successor is posted."""
DOUBT = timedelta(minutes=2)
"""So long Discord surely remembers a nonce (it does so for minutes only)."""
AT_ONCE = {"POST": 5, "PATCH": 3}
"""Requests in flight in one channel, each for another card. As many posts as its bucket allows; of more edits at once
discord.py keeps some waiting for the next window."""
REQUEST_TIMEOUT_S = 15.0
LONGEST_PAUSE_S = 4.0
"""Between two tries of one card, so that it is shown within seconds once Discord is back."""
REFUSED_PAUSE_S = 60.0
"""After an answer that only a person can mend (no permission, no such channel)."""
AUDIT_LINES = 10
UNKNOWN_MESSAGE = 10008
"""Discord's error code (topics/opcodes-and-status-codes)."""
LOOKED_AT = 200
"""Dirty cards that one look reads, the most urgent ones."""
PROBED_EARLIER_S = 0.1
GATHERING_S = 0.1
"""Until the next look while new alert groups wait to be shown together."""

_log = logging.getLogger(__name__)


class Board:
    """The reconciler of all channels."""

    def __init__(
        self, *, store: BoardStore, renderings: Renderings, channels: Channels, buckets: Buckets,
        audit_channel: int, pins: Pins, metrics: Metrics, doubt: timedelta = DOUBT, storms: Storms | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self.renderings = renderings
        self._channels = channels
        self._postings = Postings(channels)
        self._buckets = buckets
        self._audit_channel = audit_channel
        self._pins = pins
        self._doubt = doubt
        self._outside_changed = False
        self._metrics = metrics
        self._storms = storms
        self._reach = Reach()
        self._waits: dict[str, float] = {}
        self._measured_at = 0.0
        self._woken = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._watchers: dict[str, list[asyncio.Future[CardRow]]] = {}
        self._loop: asyncio.Task[None] | None = None
        self.last_read: tuple[float, float] | None = None
        """When the rows were last read (by `time.monotonic`), and the seconds that one read took."""

    async def start(self) -> None:
        """Keep the channels equal to the rows from now on."""
        await self._store.open_audit()
        self._loop = asyncio.create_task(self._run(), name="board")

    @property
    def alive(self) -> bool:
        """Whether it still looks after the channels."""
        return self._loop is not None and not self._loop.done()

    async def close(self) -> None:
        """Stop; what is not shown yet is shown after the next start."""
        tasks = [task for task in (self._loop, *self._busy.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self, operation: Operation) -> None:
        """An operation changed: look now."""
        self._pins.operation_changed(operation)
        self._woken.set()

    def changed(self) -> None:
        """Rows of alerts changed that some card shows: look now."""
        self._pins.alerts_changed()
        self._woken.set()

    def outside_changed(self, *_: object) -> None:
        """A part of the outside went down or came back: whatever goes on says so on its card."""
        self._outside_changed = True
        self._pins.outside_changed()
        self._woken.set()

    async def standing(self, key: str, *, within_s: float) -> CardRow | None:
        """The card's row once it stands in its channel; None when it does not, or cannot, within that time."""
        watcher: asyncio.Future[CardRow] = asyncio.get_running_loop().create_future()
        watchers = self._watchers.setdefault(key, [])
        watchers.append(watcher)
        try:
            row = await self._store.get(key)
            if row is None or row.message_id is not None:
                return row
            if self._buckets.wait_s("POST", row.channel_id) > within_s:
                return None
            async with asyncio.timeout(within_s):
                return await watcher
        except TimeoutError:
            return None
        finally:
            watchers.remove(watcher)
            if not watchers:
                self._watchers.pop(key, None)

    # ---- the loop ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._channels.logged_in.wait()
        for row in await self._kept_no_longer():
            await self._take_down(row)
        while True:
            self._woken.clear()
            wait_s = POLL_S
            try:
                wait_s = await self._look()
            except Unavailable as error:
                _log.warning("the board cannot read its cards: %s", error)
            except Exception:  # the border of this task: one look that breaks must not be the last one
                self._metrics.broken.inc()
                _log.exception("a look of the board broke; the next one comes all the same")
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _look(self) -> float:
        """Start what is due; the seconds after which to look again."""
        now, began = utc_now(), time.monotonic()
        await self._store.audit_due(self._audit_channel, AUDITED, limit=AUDIT_LINES)
        for due in self._pins.due():
            await self._store.want(due.key, due.channel_id, Priority.OUTCOME if due.late else Priority.BACKGROUND)
        if self._outside_changed:
            self._outside_changed = False
            await self._store.want_again(await self.renderings.open_cards())
        dirty = await self._store.dirty(now, limit=LOOKED_AT)
        self.last_read = (time.monotonic(), (time.monotonic() - began) / 2)
        self._metrics.cards_dirty.set(len(dirty))
        await self._measure()
        if self._reach.away:
            if self._busy or self._reach.wait_s > 0:
                return min(POLL_S, self._reach.wait_s or POLL_S)
            if tried := [row for row in dirty if row.attempts]:  # the others go as they stand when it is back
                return self._dispatch(tried[:1])
        wait_s = POLL_S
        if self._storms is not None:
            tidied = await self._storms.tidy(dirty, now, busy=self._busy.keys(), slots=self._slots)
            dirty = await self._store.dirty(now, limit=LOOKED_AT) if tidied.changed else dirty
            dirty = [row for row in dirty if row.key not in tidied.held]
            wait_s = GATHERING_S if tidied.held else wait_s
        wait_s = min(wait_s, self._dispatch(dirty))
        if len(dirty) == len(self._busy):
            next_due = await self._store.next_due()
            wait_s = min(wait_s, max(0.02, (next_due - now).total_seconds())) if next_due else wait_s
        return wait_s

    def _dispatch(self, dirty: Sequence[CardRow]) -> float:
        """Take the cards that may be brought up now; the seconds until the next of the others may."""
        in_flight = Counter(task.get_name() for task in self._busy.values())
        wait_s = POLL_S
        if self._reach.away and (self._busy or self._reach.wait_s > 0):
            return wait_s
        for row in dirty:
            method, channel = _method(row), str(row.channel_id)
            under_way = in_flight[f"{method} {channel}"]
            if row.key in self._busy or under_way >= AT_ONCE[method]:
                continue
            spare = 1 if row.priority >= Priority.PROGRESS else 0
            held_s = self._buckets.wait_s(
                method, row.channel_id, spare=spare, under_way=under_way, message_id=row.message_id
            )
            if held_s > LONGEST_LAG_S and self._outlived(row):
                held_s = 0.0
            if held_s > 0:
                wait_s = min(wait_s, held_s)
                continue
            in_flight[f"{method} {channel}"] += 1
            self._take(row, f"{method} {channel}")
            if self._reach.away:
                break
        return wait_s

    def _slots(self, channel_id: int) -> int:
        """How many messages may be posted in that channel now."""
        under_way = sum(task.get_name() == f"POST {channel_id}" for task in self._busy.values())
        held = self._buckets.wait_s("POST", channel_id, under_way=under_way) > 0
        return (
            0 if held else min(AT_ONCE["POST"] - under_way, self._buckets.left("POST", channel_id, under_way=under_way))
        )

    async def _measure(self) -> None:
        """For how long the card that waits longest has not shown the newest rows."""
        now = time.monotonic()
        if now - self._measured_at < POLL_S:
            return
        self._measured_at = now
        self._waits = {key: self._waits.get(key, now) for key in await self._store.dirty_keys()}
        self._metrics.card_oldest_seconds.set(now - min(self._waits.values(), default=now))

    def _outlived(self, row: CardRow) -> bool:
        """Whether the message is too old to be edited soon enough: what is not mere progress gets a successor."""
        if row.message_id is None or row.priority == Priority.PROGRESS:
            return False
        lane_s = self._buckets.wait_s("PATCH", row.channel_id, message_id=row.message_id)
        return lane_s > LONGEST_LAG_S > self._buckets.wait_s("PATCH", row.channel_id)

    def _take(self, row: CardRow, errand: str) -> None:
        task = asyncio.create_task(self._bring_up(row), name=errand)
        self._busy[row.key] = task

        def done(_: asyncio.Task[None]) -> None:
            self._busy.pop(row.key, None)
            self._woken.set()

        task.add_done_callback(done)

    async def _bring_up(self, row: CardRow) -> None:
        """Make one card equal to its rows, or put it off."""
        try:
            rendering = await self._drawn(row)
            if rendering is None:
                return
            with self._buckets.single_attempt():
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    if row.message_id is None:
                        await self._post(row, rendering)
                    elif self._outlived(row):
                        await self._succeed(row, row.message_id)
                    else:
                        await self._edit(row, rendering)
            await self._answered()
        except NotTaken as error:
            if error.status >= 500:
                self._reach.failed(row.key, connection=False)
            pause_s = 0.0 if self._outlived(row) else error.retry_after_s
            await self._put_off(row, pause_s, f"{error}", "limited" if error.status == 429 else "failed")
        except discord.RateLimited as error:
            await self._put_off(row, error.retry_after, f"{error}", "limited")
        except discord.HTTPException as error:
            await self._refused(row, error)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._reach.failed(row.key, connection=True)
            await self._put_off(row, None, f"Discord cannot be reached ({type(error).__name__})", "failed")
        except Unavailable as error:
            await asyncio.sleep(POLL_S)
            _log.warning("card %s was put off: %s", row.key, error)
        except Exception:  # the border of one card: a fault in one of them must never stop the others
            if self._channels.is_closed():
                return
            self._metrics.broken.inc()
            _log.exception("card %s cannot be drawn", row.key)
            await self._put_off(row, REFUSED_PAUSE_S, "it cannot be drawn", "failed")

    async def _answered(self) -> None:
        """Discord took something: if it had been away, all that waited for it is due at once."""
        if self._reach.answered():
            await self._store.forgive(utc_now() + timedelta(seconds=2 * LONGEST_PAUSE_S))
            self._woken.set()

    async def _drawn(self, row: CardRow) -> Rendering | None:
        """The rendering, unless there is nothing to show or nothing new: both are noted as shown."""
        rendering = await self.renderings.of(row)
        if rendering is None:
            await self._store.save(row.key, shown=row.wanted, attempts=0, not_before=None)
            return None
        same = rendering.state.get("fingerprint", "") == row.state.get("fingerprint")
        unchanged = row.message_id is not None and same
        if unchanged:
            await self._shown(row, rendering)
        return None if unchanged else rendering

    # ---- posting -----------------------------------------------------------------------------------------------

    async def _post(self, row: CardRow, rendering: Rendering) -> None:
        now = utc_now()
        asked_at = _time(row.state.get("asked_at"))
        found = await self._found(row, rendering)
        if found is not None:
            self._metrics.card_writes.labels("found").inc()
            await self._stands(row, rendering, found, complete=rendering.final)
            return
        nonce = row.nonce
        doubted = bool(nonce)
        if not nonce or (asked_at is not None and now - asked_at > self._doubt):
            nonce = secrets.token_urlsafe(16)[:22]
            await self._store.save(row.key, nonce=nonce, state={**row.state, "asked_at": now.isoformat()})
        message_id, whole = await self._postings.post(row, rendering, nonce)
        self._metrics.card_writes.labels("posted").inc()
        # After a lost answer Discord hands back the message of the first try, which may show an older card.
        complete = rendering.final or (not doubted and (rendering.lasting or whole))
        await self._stands(row, rendering, message_id, complete=complete)

    async def _found(self, row: CardRow, rendering: Rendering) -> int | None:
        """Our own message of that card, where one may stand of which we do not know.

        That is so once a post without an answer is older than Discord's memory for nonces; and for what has long been
        there to be shown, because the row that knew its message may have been lost with a database.
        """
        if rendering.pinned:
            return await self._postings.standing(row.channel_id, rendering.marker)
        since = _time(row.state.get("asked_at")) if row.nonce else rendering.born_at
        if since is None or utc_now() - since <= self._doubt:
            return None
        return await self._postings.posted_since(row.channel_id, rendering.marker, since)

    async def _succeed(self, row: CardRow, old_id: int) -> None:
        """Take the outdated message away, so that the card is posted anew."""
        await self._postings.delete(row.channel_id, old_id)
        _log.info("card %s is too old to be edited now: a successor is posted", row.key)
        await self._store.gone(row)

    async def _stands(self, row: CardRow, rendering: Rendering, message_id: int, *, complete: bool) -> None:
        """Note the message, once it is pinned where it shall be: a crash between the two leaves it to be found again.

        A card of which only the pinging line stands stays dirty and is edited at once.
        """
        if rendering.once:
            await self._store.drop(row.key)
            return
        state = {**rendering.state, "pinged": True}
        if rendering.pinned:
            state["pinned"] = await self._postings.pin(row, message_id)
        if not complete:
            state["fingerprint"] = ""
        shown = row.wanted if complete else row.shown
        not_before = utc_now() + rendering.pause if complete and rendering.pause else None
        await self._store.posted(
            row, message_id, utc_now(), holds=rendering.holds, settles=rendering.settles,
            shown=shown, attempts=0, not_before=not_before, state=state,
        )  # fmt: skip
        for watcher in self._watchers.get(row.key, ()):
            if not watcher.done():
                watcher.set_result(await self._store.get(row.key) or row)
        if complete:
            await self._want_beside(row, rendering)
        self._pins.shown(row.key, old=False)

    async def _kept_no_longer(self) -> list[CardRow]:
        """The pinned boards of channels that the configuration no longer gives one."""
        try:
            return [row for row in await self._store.of_topic(TOPIC) if not self._pins.belongs(row.key, row.channel_id)]
        except Unavailable:  # the next start looks again
            return []

    async def _take_down(self, row: CardRow) -> None:
        """Remove a pinned board that is no longer kept there: nobody would tell its readers that the bot lives."""
        try:
            if row.message_id is not None:
                with self._buckets.single_attempt():
                    async with asyncio.timeout(REQUEST_TIMEOUT_S):
                        await self._postings.delete(row.channel_id, row.message_id)
            await self._store.drop(row.key)
        except (NotTaken, discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError, Unavailable) as error:
            _log.warning("%s is no longer kept and still stands; the next start tries again: %s", row.key, error)

    # ---- editing -----------------------------------------------------------------------------------------------

    async def _edit(self, row: CardRow, rendering: Rendering) -> None:
        assert row.message_id is not None
        if rendering.final:  # a line that pinged once is never changed
            await self._shown(row, rendering)
            return
        await self._postings.edit(row.channel_id, row.message_id, rendering)
        self._metrics.card_writes.labels("edited").inc()
        if rendering.pinned and not row.state.get("pinned", True) and await self._postings.pin(row, row.message_id):
            rendering = replace(rendering, state={**rendering.state, "pinned": True})
        await self._shown(row, rendering)

    async def _shown(self, row: CardRow, rendering: Rendering) -> None:
        pause = rendering.pause or (PROGRESS_PAUSE if row.priority >= Priority.PROGRESS else None)
        old = row.message_id is not None and self._buckets.is_old(row.message_id)
        self._pins.shown(row.key, old=old)
        if pause is not None and old:
            pause = max(pause, OLD_PAUSE)
        not_before = utc_now() + pause if pause is not None else None
        state = dict(rendering.state)
        await self._store.save(row.key, shown=row.wanted, attempts=0, not_before=not_before, state=state)
        if rendering.holds and row.message_id is not None:
            await self._store.hold(rendering.holds, row.message_id, utc_now())
        await self._want_beside(row, rendering)

    async def _want_beside(self, row: CardRow, rendering: Rendering) -> None:
        for key in rendering.beside:
            await self._store.beside(key, row.channel_id)
        if rendering.stirs and row.message_id is None:
            await self._store.want_again(rendering.stirs)

    # ---- trouble -----------------------------------------------------------------------------------------------

    async def _refused(self, row: CardRow, error: discord.HTTPException) -> None:
        if error.code == UNKNOWN_MESSAGE and row.message_id is not None:
            _log.info("the message of card %s is gone: it is posted anew", row.key)
            await self._store.gone(row)
            return
        pause_s = REFUSED_PAUSE_S if error.status < 500 else None
        await self._put_off(row, pause_s, f"Discord answered {error.status} ({error.code}): {error.text}", "failed")

    async def _put_off(self, row: CardRow, seconds: float | None, why: str, outcome: str) -> None:
        """Try again after that many seconds, or by back-off: 1, 2, 4, 8 and then every 15 s."""
        self._metrics.card_writes.labels(outcome).inc()
        backoff_s = min(LONGEST_PAUSE_S, 2.0 ** min(row.attempts, 10)) * random.uniform(0.8, 1.0)
        if self._reach.away:  # what was asked before asks again
            backoff_s = max(0.0, self._reach.wait_s - PROBED_EARLIER_S)
        pause = timedelta(seconds=backoff_s if seconds is None else seconds)
        _log.warning("card %s is put off for %.1f s: %s", row.key, pause.total_seconds(), why)
        try:
            await self._store.save(row.key, attempts=row.attempts + 1, not_before=utc_now() + pause)
        except Unavailable as error:
            _log.warning("card %s: %s", row.key, error)
            await asyncio.sleep(POLL_S)


def _method(row: CardRow) -> str:
    return "POST" if row.message_id is None else "PATCH"


def _time(iso: Any) -> datetime | None:
    return datetime.fromisoformat(iso) if isinstance(iso, str) else None
