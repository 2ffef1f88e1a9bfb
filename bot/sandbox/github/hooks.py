"""Webhooks: who is told of what, each delivery signed and written down, and the ways in which a wire can misbehave.

A delivery is tried once, as on GitHub: what nobody took within ten seconds stays undelivered until somebody asks for it
again, under the same GUID. Receivers are on this machine only. Deliveries are remembered while the world runs.
"""

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import aiohttp

from bot.sandbox.clock import Clock
from bot.sandbox.github.journal import Hook, JournalFile, LastResponse
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Rejected

ANSWER_WITHIN_S = 10.0
"""SOURCE: GitHub documentation, "Best practices for using webhooks" (2026)."""
KEPT = 1000
SHUFFLE_WAIT_S = 0.3
ANSWER_KEPT = 64 * 1024
FIRST_DELIVERY = 91_000_000_001
LOOPBACK = ("127.0.0.1", "localhost", "::1")
USER_AGENT = "GitHub-Hookshot/44b1a2c"
HIDDEN = "********"

Inspect = Callable[[str, Mapping[str, str], bytes], None]
"""Looks at (event, headers, body) of every delivery that goes out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `status` in GitHub's words, `code` 0 for nothing."""

    status: str
    code: int
    headers: Mapping[str, str]
    text: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at telling one hook of one thing."""

    id: int
    guid: str
    hook: int
    event: str
    action: str | None
    payload: Mapping[str, Any]
    redelivery: bool
    delivered_at: float
    url: str
    headers: Mapping[str, str]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Wire:
    """How deliveries travel: the share that is lost and that comes twice, and among how many the order is random."""

    lose: float = 0.0
    double: float = 0.0
    shuffle: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something to deliver."""

    hook: int
    guid: str
    event: str
    payload: Mapping[str, Any]
    redelivery: bool = False


class Hooks:
    """The hooks of the repository and their deliveries."""

    def __init__(self, *, clock: Clock, ledger: Ledger, file: JournalFile, inspect: Inspect | None = None) -> None:
        self._clock = clock
        self._ledger = ledger
        self._file = file
        self._inspect = inspect
        self._answer_within_s = ANSWER_WITHIN_S
        self._wire = Wire()
        self._dice = random.Random(0)
        self._lanes: dict[int, asyncio.Queue[Parcel]] = {}
        self._carriers: list[asyncio.Task[None]] = []
        self._deliveries: OrderedDict[int, Delivery] = OrderedDict()
        self._numbers = FIRST_DELIVERY
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._session = aiohttp.ClientSession(skip_auto_headers=("Accept-Encoding",))

    async def close(self) -> None:
        """Give up what is under way."""
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    # ---- hooks -----------------------------------------------------------------------------------------------

    @property
    def all(self) -> Mapping[int, Hook]:
        """Every hook by its id."""
        return self._file.journal.hooks

    def put(self, hook: Hook) -> Hook:
        """Keep a hook; one with the id 0 gets its own."""
        if not hook.id:
            hook = replace(hook, id=self._file.journal.next_hook())
        self._file.journal.hooks[hook.id] = hook
        self._file.save()
        return hook

    def remove(self, hook_id: int) -> None:
        """Forget a hook; what is under way to it is not sent any more."""
        self._file.journal.hooks.pop(hook_id, None)
        self._file.save()

    # ---- telling ---------------------------------------------------------------------------------------------

    def wanted(self, event: str) -> bool:
        """Whether any hook wants to hear of such a thing."""
        return any(_wants(hook, event) for hook in self.all.values())

    def tell(self, event: str, payload: Mapping[str, Any], *, only: int | None = None) -> None:
        """Send to every active hook that wants it, or to one alone; all get the same GUID."""
        guid = str(uuid4())
        for hook in self.all.values():
            if hook.id == only or (only is None and _wants(hook, event)):
                self._send(Parcel(hook.id, guid, event, payload))

    def again(self, delivery: Delivery) -> None:
        """Deliver once more, under the same GUID."""
        self._send(Parcel(delivery.hook, delivery.guid, delivery.event, delivery.payload, redelivery=True))

    def _send(self, parcel: Parcel) -> None:
        """Every hook has a lane of its own, so that a slow receiver keeps nobody else waiting."""
        if parcel.hook not in self._lanes and self._session is not None:
            lane = self._lanes[parcel.hook] = asyncio.Queue()
            self._carriers.append(asyncio.create_task(self._carry(self._session, lane), name="webhooks"))
        for _ in range(2 if self._dice.random() < self._wire.double else 1):
            self._lanes[parcel.hook].put_nowait(parcel)

    # ---- the wire --------------------------------------------------------------------------------------------

    def misbehave(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """`{lose, double, shuffle, seed}`: what is not named goes back to good behaviour.

        Raises:
            Rejected: a key is unknown or a number makes no sense.
        """
        known = asdict(Wire())
        for name, value in body.items():
            if name not in known:
                raise Rejected(f"Unknown key {name[:100]!r}; known are {', '.join(known)}.")
            share = name in ("lose", "double")
            kinds = (int, float) if share else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value <= (1 if share else 10_000):
                raise Rejected(f"{name} must be a number from 0 to {1 if share else 10_000}.")
        self._wire = replace(Wire(), **body)
        self._dice = random.Random(self._wire.seed)
        return asdict(self._wire)

    async def _carry(self, session: aiohttp.ClientSession, lane: asyncio.Queue[Parcel]) -> None:
        """Deliver one after the other; while the wire shuffles, a handful is gathered first."""
        while True:
            handful = [await lane.get()]
            with suppress(TimeoutError):
                while len(handful) < self._wire.shuffle:
                    async with asyncio.timeout(SHUFFLE_WAIT_S):
                        handful.append(await lane.get())
            if len(handful) > 1:
                self._dice.shuffle(handful)
            for parcel in handful:
                await self._deliver(session, parcel)

    async def _deliver(self, session: aiohttp.ClientSession, parcel: Parcel) -> None:
        hook = self.all.get(parcel.hook)
        if hook is None or not (hook.active or parcel.redelivery):
            return
        body = encode(parcel.payload, hook.content_type)
        headers = self._headers(hook, parcel, body)
        if self._dice.random() < self._wire.lose:
            answer = Answer("failed to connect to host", 0, {}, "", 0.0)
        else:
            if self._inspect is not None and hook.content_type == "json":
                self._inspect(parcel.event, headers, body)
            answer = await _posted(session, hook.url, headers, body, within_s=self._answer_within_s)
        self._note(hook, parcel, headers, answer)

    def _note(self, hook: Hook, parcel: Parcel, headers: Mapping[str, str], answer: Answer) -> None:
        action = parcel.payload.get("action")
        delivery = Delivery(
            id=self._numbers,
            guid=parcel.guid,
            hook=hook.id,
            event=parcel.event,
            action=action if isinstance(action, str) else None,
            payload=parcel.payload,
            redelivery=parcel.redelivery,
            delivered_at=self._clock.now(),
            url=hook.url,
            headers=headers,
            answer=answer,
        )
        self._numbers += 1
        self._deliveries[delivery.id] = delivery
        if len(self._deliveries) > KEPT:
            self._deliveries.popitem(last=False)
        if hook.id in self.all:
            good = answer.status == "OK"
            last = LastResponse(answer.code or None, "active" if good else "failed", answer.status)
            self._file.journal.hooks[hook.id] = replace(self.all[hook.id], last=last)
        told = {"hook": hook.id, "delivery": delivery.id, "guid": parcel.guid, "event": parcel.event}
        more = {"action": delivery.action, "status": answer.status, "code": answer.code}
        self._ledger.publish("github.delivery", told | more | {"redelivery": parcel.redelivery})

    def _headers(self, hook: Hook, parcel: Parcel, body: bytes) -> dict[str, str]:
        kind = "application/json" if hook.content_type == "json" else "application/x-www-form-urlencoded"
        headers = {
            "Accept": "*/*",
            "Content-Type": kind,
            "User-Agent": USER_AGENT,
            "X-GitHub-Delivery": parcel.guid,
            "X-GitHub-Event": parcel.event,
            "X-GitHub-Hook-ID": str(hook.id),
            "X-GitHub-Hook-Installation-Target-ID": str(hook.target),
            "X-GitHub-Hook-Installation-Target-Type": "repository",
        }
        return headers | signatures(hook.secret, body)

    # ---- what was delivered ----------------------------------------------------------------------------------

    def deliveries(self, hook_id: int) -> list[Delivery]:
        """Those of a hook, newest first."""
        return [one for one in reversed(self._deliveries.values()) if one.hook == hook_id]


def _wants(hook: Hook, event: str) -> bool:
    return hook.active and (event in hook.events or "*" in hook.events)


def is_local(url: str) -> bool:
    """Whether deliveries may go there: this machine, by http or https."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and parts.hostname in LOOPBACK and parts.port != 0
    except ValueError:
        return False


def encode(payload: Mapping[str, Any], content_type: str) -> bytes:
    """The body of a delivery."""
    text = json.dumps(payload, separators=(",", ":"))
    return text.encode() if content_type == "json" else urlencode({"payload": text}).encode()


def signatures(secret: str, body: bytes) -> dict[str, str]:
    """The signature headers; none without a secret."""
    if not secret:
        return {}
    key = secret.encode()
    return {
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, "sha1").hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }


async def _posted(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes, *, within_s: float
) -> Answer:
    """Send once. GitHub follows no redirect: anything but 2xx is a delivery that failed."""
    began, limit = time.monotonic(), aiohttp.ClientTimeout(total=within_s)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False, timeout=limit) as response:
            text = (await response.content.read(ANSWER_KEPT)).decode(errors="replace")
            good = 200 <= response.status < 300
            status = "OK" if good else f"Invalid HTTP Response: {response.status}"
            told = dict(response.headers)
            return Answer(status, response.status, told, text, time.monotonic() - began)
    except TimeoutError:
        return Answer("timed out", 0, {}, "", time.monotonic() - began)
    except (aiohttp.ClientError, OSError, ValueError):
        return Answer("failed to connect to host", 0, {}, "", time.monotonic() - began)
