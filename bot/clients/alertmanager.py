"""Alertmanager by its API v2: what fires, what is silenced, and silences made and ended. One cluster of one or several.

All of a cluster tell one another what they know, so each is as good as the others: they are asked in order, and the one
that answered last is asked first. A write whose answer is lost is never sent again, to none of them.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from bot.clients.alertmanager_types import (
    AlertmanagerStatus,
    LiveAlert,
    LiveGroup,
    LiveSilence,
    Picture,
    SilenceWish,
)
from bot.clients.hearing import DEAF, Hearing
from bot.clients.http import HttpClient
from bot.clients.long_json import in_steps
from bot.errors import NotVisible, Refused, Unavailable, Unknown, Unreachable
from bot.matcher import Matcher

PART = "alertmanager"
BODY_LIMIT_BYTES = 32 * 2**20
"""A group of 10,000 alerts is 5 to 10 MB, and it is listed twice."""
ASIDE_BYTES = 2**18
"""Longer answers are read on a thread, in steps."""
GROUPS = "/alerts/groups"

ONE_SILENCE = "/silence/"
"""The only path under which something can be absent; any other 404 is not Alertmanager's."""

T = TypeVar("T")


class AlertmanagerClient:
    """The Alertmanagers of one cluster. `answered` names the one that did so last, empty as long as none has."""

    def __init__(
        self, *, urls: Sequence[str], http: HttpClient, timeout_s: float = 5.0, hearing: Hearing = DEAF
    ) -> None:
        self._timeout_s = timeout_s
        self._urls = [str(url).rstrip("/") for url in urls]
        self._http = http
        self._hearing = hearing
        self.answered = ""

    async def picture(self) -> Picture:
        """What one of them says now: alerts, silences and since when it runs.

        Raises:
            Unavailable: none of them answers with all three.
        """
        return await self._any(self._picture_of)

    async def alerts(self, matchers: Sequence[Matcher] = ()) -> tuple[LiveAlert, ...]:
        """What fires now and meets all of the matchers, silenced and inhibited ones among it.

        Raises:
            Refused: a matcher that Alertmanager cannot read, such as a broken regular expression.
            Unavailable: none of them answers.
        """
        query = "?" + urlencode([("filter", str(matcher)) for matcher in matchers]) if matchers else ""
        return await self._any(lambda url: self._listed(url, f"/alerts{query}", LiveAlert.from_json))

    async def groups(self) -> tuple[LiveGroup, ...]:
        """What fires now, in the groups of Alertmanager's routes; an alert of two routes is in two groups."""
        return await self._any(lambda url: self._listed(url, GROUPS, LiveGroup.from_json))

    async def silences(self) -> tuple[LiveSilence, ...]:
        """All silences, those of the last five days that have ended among them."""
        return await self._any(lambda url: self._listed(url, "/silences", LiveSilence.from_json))

    async def silence(self, silence_id: str) -> LiveSilence | None:
        """That silence; None: it does not exist (any more)."""
        try:
            return await self._any(lambda url: self._one(url, f"{ONE_SILENCE}{silence_id}", LiveSilence.from_json))
        except NotVisible:
            return None
        except Refused:  # an id that is none is a 400 or 422 there, depending on the version
            return None

    async def status(self) -> AlertmanagerStatus:
        """The status of the first that answers."""
        return await self._any(self._status_of)

    async def create_silence(self, wish: SilenceWish) -> str:
        """Make the silence, or change the one that the wish names; its id, which need not be the old one.

        Raises:
            Refused: Alertmanager does not take it as it is; the sentence has its own words. Nothing is silenced.
            Unreachable, Unavailable: none took it. Nothing is silenced.
            Unknown: it may have been made: look for its comment, never send it again.
        """
        answer = await self._write("POST", "/silences", wish.as_json())
        try:
            return str(answer["silenceID"])
        except (KeyError, TypeError) as error:
            raise Unknown(PART, "Alertmanager took the silence, and its answer names no id.") from error

    async def expire_silence(self, silence_id: str) -> None:
        """End the silence now. One that has ended, or that nobody knows, is as good as ended.

        Raises:
            Unavailable: none of them answers; it goes on. Unknown: it may have ended.
        """
        try:
            await self._write("DELETE", f"{ONE_SILENCE}{silence_id}", None)
        except NotVisible:
            return

    # ---- the wire --------------------------------------------------------------------------------------------

    async def _picture_of(self, url: str) -> Picture:
        status, alerts, silences = await asyncio.gather(
            self._status_of(url),
            self._listed(url, "/alerts", LiveAlert.from_json),
            self._listed(url, "/silences", LiveSilence.from_json),
        )
        return Picture(named(url), status, alerts, silences)

    async def _any(self, ask: Callable[[str], Awaitable[T]]) -> T:
        """The answer of the first that has one. Those that have none go to the end of the line.

        Raises:
            Unavailable: none has; the words are those of the first that was asked.
        """
        failed: list[Unavailable] = []
        for url in tuple(self._urls):
            try:
                answer = await ask(url)
            except (NotVisible, Refused):
                self._heard(url)
                raise
            except Unavailable as error:
                failed.append(error)
                self._to_the_end(url)
                continue
            self._heard(url)
            return answer
        raise self._unheard(failed)

    async def _write(self, verb: str, path: str, body: dict[str, Any] | None) -> Any:
        failed: list[Unavailable] = []
        for url in tuple(self._urls):
            try:
                answer = await self._written(url, verb, path, body)
            except Unreachable as error:
                failed.append(error)
                self._to_the_end(url)
                continue
            except Unknown as error:
                self._hearing.silent(PART, str(error))
                raise
            except (NotVisible, Refused):
                self._heard(url)
                raise
            except Unavailable as error:  # turned away at the door: nothing was carried out
                failed.append(error)
                self._to_the_end(url)
                continue
            self._heard(url)
            return answer
        raise self._unheard(failed)

    async def _written(self, url: str, verb: str, path: str, body: dict[str, Any] | None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        try:
            reply = await self._send(url, verb, path, content)
        except Unreachable:
            raise
        except Unavailable as error:
            raise Unknown(PART, f"{error} Whether it was carried out is not known.") from error
        if reply.status >= 500:
            sentence = f"{named(url)} answered {reply.status}; whether it did it is not known."
            raise Unknown(PART, sentence, status=reply.status)
        try:
            return _checked(reply)
        except Unavailable as error:
            if reply.status < 300:  # accepted, with an answer that cannot be read
                raise Unknown(PART, str(error), status=reply.status) from error
            raise

    async def _one(self, url: str, path: str, read: Callable[[Any], T]) -> T:
        reply = await self._send(url, "GET", path, None)
        return read_as(url, lambda: read(_checked(reply)))

    async def _status_of(self, url: str) -> AlertmanagerStatus:
        reply = await self._send(url, "GET", "/status", None)
        return read_as(url, lambda: AlertmanagerStatus.from_json(_checked(reply), told_at=reply.at))

    async def _listed(self, url: str, path: str, read: Callable[[Any], T]) -> tuple[T, ...]:
        reply = await self._send(url, "GET", path, None)

        def rows() -> tuple[T, ...]:
            return tuple(read(row) for row in _checked(reply))

        if len(reply.text) < ASIDE_BYTES:
            return read_as(url, rows)
        return await asyncio.to_thread(read_as, url, rows)

    async def _send(self, url: str, verb: str, path: str, body: bytes | None) -> "_Reply":
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body is not None else {})
        try:
            status, told, text = await self._http.exchange(
                verb, f"{url}/api/v2{path}", headers=headers, timeout_s=self._timeout_s, body=body,
                limit_bytes=BODY_LIMIT_BYTES,
            )  # fmt: skip
        except Unreachable as error:
            raise Unreachable(PART, f"{named(url)} cannot be reached: no connection.") from error
        except Unavailable as error:
            raise Unavailable(PART, f"{named(url)} did not answer.") from error
        return _Reply(url, path, status, text, _dated(told.get("Date", "")))

    def _heard(self, url: str) -> None:
        self.answered = named(url)
        self._hearing.heard(PART)

    def _to_the_end(self, url: str) -> None:
        self._urls.remove(url)
        self._urls.append(url)

    def _unheard(self, failed: Sequence[Unavailable]) -> Unavailable:
        if not failed:
            return Unreachable(PART, "No Alertmanager is configured.")
        others = f" Nor does any of the other {len(failed) - 1}." if len(failed) > 1 else ""
        sentence = f"{failed[0]}{others}"
        self._hearing.silent(PART, sentence)
        kind = Unreachable if all(isinstance(error, Unreachable) for error in failed) else Unavailable
        return kind(PART, sentence, status=failed[0].status, retry_after_s=failed[0].retry_after_s)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What came back, and when that was by the clock of whoever answered."""

    url: str
    path: str
    status: int
    text: str
    at: datetime | None


def _dated(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None


def named(url: str) -> str:
    """`Alertmanager 10.0.1.7:9093`: the address as it may be shown."""
    return f"Alertmanager {urlsplit(url).netloc.rpartition('@')[2]}"


def read_as(url: str, read: Callable[[], T]) -> T:
    """What `read` makes of an answer.

    Raises:
        Unavailable: the answer is JSON, and not what the API promises.
    """
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(PART, f"{named(url)} answered with something that is not its API's.") from error


def _checked(reply: _Reply) -> Any:
    """The parsed body of a good answer; every other one becomes one of our errors."""
    url, path, status, text = reply.url, reply.path, reply.status, reply.text
    if status < 300:
        if not text and path.startswith(ONE_SILENCE):
            return {}
        try:
            if len(text) < ASIDE_BYTES:
                return json.loads(text)
            return in_steps(text, 3 if path == GROUPS else 1)  # down to one alert
        except ValueError as error:
            cut = len(text.encode()) >= BODY_LIMIT_BYTES
            why = f"more than {BODY_LIMIT_BYTES // 2**20} MiB" if cut else "something that is not JSON"
            raise Unavailable(PART, f"{named(url)} answered with {why}.") from error
    words = _words(text)
    if status == 404 and path.startswith(ONE_SILENCE):
        raise NotVisible(PART, f"{named(url)} has no such thing{words}.", status=404)
    if status in (400, 422):
        raise Refused(f"Alertmanager refused it{words}.", hint="Mend the matchers or the times, and try again.")
    if status in (401, 403):
        raise Unavailable(PART, f"{named(url)} does not let us in ({status}).", status=status)
    raise Unavailable(PART, f"{named(url)} answered {status}{words}.", status=status)


def _words(text: str) -> str:
    """Alertmanager's own words, if it has any: a JSON string, or an object with a message."""
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    if isinstance(value, dict):
        value = value.get("message") or value.get("error") or ""
    return f" ({str(value)[:300]})" if isinstance(value, str) and value else ""
