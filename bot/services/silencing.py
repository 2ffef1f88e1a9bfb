"""Silences in Alertmanager with answers that can be relied on: done, not done, or nobody knows.

A write whose answer is lost is looked for by the mark in the silence's comment and never sent a second time. Who may do
it, and what is written down of it, is `silences`' business.
"""

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import TypeVar

from bot.clients import alertmanager_types as wire
from bot.clients.alertmanager import PART, AlertmanagerClient
from bot.errors import Refused, Unavailable, Unknown

LOOKS, LOOK_PAUSE_S = 3, 1.0
"""How often, and after what pauses, a silence is looked for whose answer was lost."""
NOT_SILENCED = "NOT silenced"
T = TypeVar("T")


class Silencing:
    """The silences of one cluster, or of none."""

    def __init__(self, client: AlertmanagerClient | None, *, look_pause_s: float = LOOK_PAUSE_S) -> None:
        self._client = client
        self._look_pause_s = look_pause_s

    @property
    def possible(self) -> bool:
        """Whether there is an Alertmanager at all."""
        return self._client is not None

    @property
    def client(self) -> AlertmanagerClient:
        """The Alertmanager.

        Raises:
            Refused: none is configured.
        """
        if self._client is None:
            sentence = "No Alertmanager is configured, so nothing can be silenced."
            raise Refused(sentence, hint="An owner can name one in the file: alerts.alertmanagers.")
        return self._client

    async def living(self, am_id: str) -> wire.LiveSilence:
        """The silence of that id.

        Raises:
            Refused: there is none that holds, or will.
            Unavailable: nobody answers.
        """
        live = await answered("NOT changed", self.client.silence(am_id))
        if live is None or live.state is wire.SilenceState.EXPIRED:
            raise Refused("That silence has ended already.", hint="`/silence list` shows those that hold.")
        return live

    async def make(self, wish: wire.SilenceWish) -> str:
        """Make the silence; its id.

        Raises:
            Refused: Alertmanager does not want it so. Unavailable: NOT silenced. Unknown: nobody can tell.
        """
        try:
            return await answered(NOT_SILENCED, self.client.create_silence(wish))
        except Unknown as error:
            found = await self._looked_for(wish)
            if found is None:
                raise Unavailable(PART, f"{NOT_SILENCED}: {error} It is not there.", status=error.status) from error
            return found

    async def prolong(self, live: wire.LiveSilence, ends_at: datetime) -> str:
        """Let the silence end at that moment; its id, which need not be the one that it had.

        Raises:
            Refused: Alertmanager does not want it so. Unavailable: it ends as before. Unknown: nobody can tell.
        """
        wish = wire.SilenceWish(live.matchers, live.starts_at, ends_at, live.created_by, live.comment, live.id)
        try:
            return await answered("NOT extended", self.client.create_silence(wish))
        except Unknown as error:
            found = await self._looked_for(wish)
            if found is None:
                sentence = f"NOT extended: {error} It ends at {at_time(live.ends_at)} as before."
                raise Unavailable(PART, sentence, status=error.status) from error
            return found

    async def end(self, am_id: str) -> None:
        """End the silence now; one that nobody knows is as good as ended.

        Raises:
            Unavailable: it still holds, or nobody answers; the words say which.
        """
        try:
            await answered("NOT ended", self.client.expire_silence(am_id))
        except Unknown as error:  # one that nobody knows is a 500 there
            await asyncio.sleep(self._look_pause_s)
            live = await answered("It is NOT KNOWN whether the silence ended", self.client.silence(am_id))
            if live is not None and live.state is not wire.SilenceState.EXPIRED:
                raise Unavailable(PART, f"NOT ended: {error} It still holds.", status=error.status) from error

    async def _looked_for(self, wish: wire.SilenceWish) -> str | None:
        """The id of the silence that has this very comment and end; None: Alertmanager says that there is none.

        Raises:
            Unknown: it cannot be asked.
        """
        heard = False
        for _ in range(LOOKS):
            await asyncio.sleep(self._look_pause_s)
            try:
                silences = await self.client.silences()
            except Unavailable:
                continue
            heard = True
            for one in silences:
                ends_alike = abs(one.ends_at - wish.ends_at) < timedelta(seconds=1)
                if one.comment == wish.comment and ends_alike and one.state is not wire.SilenceState.EXPIRED:
                    return one.id
        if heard:
            return None
        raise Unknown(
            PART,
            "Whether it is silenced is NOT KNOWN: Alertmanager did not answer, and cannot be asked. Count it as not"
            " silenced; the cards will say when Alertmanager answers again.",
        )


async def answered(not_done: str, asking: Awaitable[T]) -> T:
    """What Alertmanager answers; where it does not, its words begin with what was not done.

    Raises:
        Unknown: it may have been done all the same.
    """
    try:
        return await asking
    except Unknown:
        raise
    except Unavailable as error:
        raise Unavailable(PART, f"{not_done}: {error}", status=error.status) from error


def at_time(at: datetime) -> str:
    """A moment as the record writes it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
