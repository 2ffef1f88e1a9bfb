"""The Gateway, version 10: sockets, sessions that outlive them, and the replay of what a cut socket missed.

Source of the opcodes, close codes and limits: Discord's documentation, "Gateway" and "Gateway Close Event Codes".
What is sent when is decided elsewhere; this room delivers to every session whose intents ask for it.
"""

import asyncio
import math
import secrets
import time
from typing import Any

from aiohttp import WSMsgType, web

from bot.sandbox.cast import GUILD_ID
from bot.sandbox.discord.compression import Plain, Unavailable, squeeze_for
from bot.sandbox.discord.errors import dumps
from bot.sandbox.discord.guild import BOT_ID, Guild, bot_user
from bot.sandbox.discord.limits import Buckets, Pace
from bot.sandbox.discord.sessions import Closed, Session, Socket, object_of, packet, parsed, shard_of
from bot.sandbox.ledger import Ledger
from bot.sandbox.validation.gateway import GatewayCheck

Json = dict[str, Any]

HEARTBEAT_MS = 41_250
PAYLOAD_LIMIT = 4096
SESSIONS_KEPT = 20

GUILDS, GUILD_MEMBERS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 1, 1 << 9, 1 << 10
PRIVILEGED = 1 << 1 | 1 << 8 | 1 << 15
ALL_INTENTS = (1 << 17) - 1 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25
"""Those that the reference lists (Gateway, List of Intents, 2026-11)."""


class Gateway:
    """The sessions, and the door at which sockets come in."""

    def __init__(
        self, *, token: str, guild: Guild, pace: Pace, buckets: Buckets, ledger: Ledger, check: GatewayCheck | None
    ) -> None:
        self._token = token
        self._check = check
        self._guild = guild
        self._pace = pace
        self._buckets = buckets
        self._ledger = ledger
        self._sessions: dict[str, Session] = {}
        self._sockets: set[Socket] = set()
        self.url = ""
        """`ws://127.0.0.1:PORT/gateway`, known once the port is open."""
        self._presence = ""
        self.token_reset = False
        """The token was used up by too many session starts; it is good again when the world is started anew."""

    @property
    def presence(self) -> str:
        """The words of the bot's activity, as the member list shows them; empty while no session is connected."""
        return self._presence if self.connected() else ""

    def connected(self) -> bool:
        """Whether a session has a live socket."""
        return any(session.socket is not None for session in self._sessions.values())

    def dispatch(self, event: str, data: Json, *, intent: int = 0) -> None:
        """Send an event to every session that asked for its kind; one without a socket gets it when it resumes."""
        if not self._sessions:
            return
        body = dumps(data)
        for session in self._live():
            if session.holds_guild and (not intent or session.intents & intent):
                self._deliver(session, event, body)

    def drop(self) -> None:
        """Reset every connection; the sessions stay resumable."""
        for socket in list(self._sockets):
            self._detach(socket)
            socket.cut()

    def ask_to_reconnect(self) -> None:
        """Opcode 7 to everybody."""
        for socket in list(self._sockets):
            socket.send(packet(7, None))

    def invalidate(self, *, resumable: bool) -> None:
        """Opcode 9 to everybody; what is not resumable is forgotten."""
        for socket in list(self._sockets):
            if socket.session is not None and not resumable:
                self._sessions.pop(socket.session.id, None)
                socket.session.socket = None
                socket.session = None
            socket.send(packet(9, resumable))

    def close(self) -> None:
        """Tell every client that this server goes away."""
        for socket in list(self._sockets):
            socket.end(1001, "going away")

    # -- sockets ------------------------------------------------------------------------------------------------------

    def starts(self) -> Json:
        """What is left of the session starts, for `GET /gateway/bot`."""
        rate = self._pace.now.identifies
        left, wait_s = self._buckets.left("identifies", "", rate)
        concurrency = self._pace.now.identify_pace.requests
        reset_ms = math.ceil(wait_s * 1000)
        return {"total": rate.requests, "remaining": left, "reset_after": reset_ms, "max_concurrency": concurrency}

    def _count_start(self, socket: Socket) -> bool:
        """Count a session start; one that comes too soon is told to begin again (opcode 9), with `False` here.

        Raises:
            Closed: 4004, there were too many in a day: every session ends, and the token with them.
        """
        now = self._pace.now
        if not self._buckets.take("identify pace", "", now.identify_pace, bound_overall=False).allowed:
            socket.send(packet(9, False))
            return False
        if self._buckets.take("identifies", "", now.identifies, bound_overall=False).allowed:
            return True
        self.token_reset = True
        for other in list(self._sockets):
            if other is not socket:
                other.end(4004, "Authentication failed.")
        self._sessions.clear()
        raise Closed(4004, "Authentication failed.")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /gateway`: one connection from HELLO to its end."""
        ws = web.WebSocketResponse(timeout=1.0, autoping=True, compress=False, max_msg_size=2**20)
        await ws.prepare(request)
        try:
            squeeze, refusal = squeeze_for(request.query.get("compress", "")), None
        except Unavailable as error:
            squeeze, refusal = Plain(), Closed(4000, str(error))
        socket = Socket(ws, request, squeeze, sends=self._pace.now.sends, check=self._check)
        self._sockets.add(socket)
        writer = asyncio.create_task(socket.write())
        writer.add_done_callback(_ended)
        try:
            if refusal is not None:
                raise refusal
            _check_query(request)
            socket.send(packet(10, {"heartbeat_interval": HEARTBEAT_MS}))
            await self._converse(socket, ws)
        except Closed as closed:
            socket.end(closed.code, closed.reason)
            await asyncio.wait({writer}, timeout=2.0)
        finally:
            self._gone(socket, ws.close_code)
            writer.cancel()
        return ws

    async def _converse(self, socket: Socket, ws: web.WebSocketResponse) -> None:
        """Answer until the client goes, or is silent for longer than one and a half heartbeats."""
        while True:
            try:
                message = await ws.receive(timeout=HEARTBEAT_MS / 1000 * 1.5)
            except TimeoutError:
                raise Closed(4009, "Session timed out.") from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if len(message.data) > PAYLOAD_LIMIT:
                raise Closed(4002, "Error while decoding payload.")
            socket.count_send()
            taken = parsed(message.data)
            self._take(socket, taken)
            if self._check is not None:
                self._check.received(taken)

    def _take(self, socket: Socket, taken: Json) -> None:
        match taken.get("op"):
            case 1:
                self._heartbeat(socket, taken.get("d"))
            case 2:
                if socket.session is not None:
                    raise Closed(4005, "Already authenticated.")
                self._identify(socket, object_of(taken))
            case 6:
                self._resume(socket, object_of(taken))
            case 3 | 4 | 8 | 31 if socket.session is None:
                raise Closed(4003, "Not authenticated.")
            case 3:
                self._show(object_of(taken))
            case 4 | 31:
                object_of(taken)
            case 8:
                self._chunk(socket.session, object_of(taken))
            case _:
                raise Closed(4001, "Unknown opcode.")

    def _show(self, presence: Json) -> None:
        """Opcode 3, and a part of opcode 2: a custom activity (type 4) carries its words in `state`."""
        activities = presence.get("activities")
        first = activities[0] if isinstance(activities, list) and activities else {}
        words = first.get("state") or first.get("name") if isinstance(first, dict) else ""
        self._presence = str(words or "")[:128]
        self._ledger.publish("presence.updated", {"presence": self._presence})

    def _heartbeat(self, socket: Socket, seq: object) -> None:
        """Acknowledge; what the client has seen needs not be kept."""
        if socket.session is not None and isinstance(seq, int):
            events = socket.session.events
            while events and events[0][0] <= seq:
                events.popleft()
        socket.send(packet(11, None))

    def _identify(self, socket: Socket, data: Json) -> None:
        self._check_token(data)
        intents = data.get("intents")
        if isinstance(intents, bool) or not isinstance(intents, int) or intents & ~ALL_INTENTS:
            raise Closed(4013, "Invalid intent(s).")
        if intents & PRIVILEGED:
            raise Closed(4014, "Disallowed intent(s).")
        shard = shard_of(data.get("shard"))
        if not self._count_start(socket):
            return
        session = Session(secrets.token_hex(16), intents, shard)
        self._sessions[session.id] = session
        self._forget_old()
        presence = data.get("presence")
        self._show(presence if isinstance(presence, dict) else {})
        self._attach(session, socket)
        self._deliver(session, "READY", dumps(self._ready(session)))
        if intents & GUILDS and session.holds_guild:
            self._deliver(session, "GUILD_CREATE", dumps(self._guild.created(with_members=False)))
        self._ledger.publish("gateway.connected", {"session": session.id, "resumed": False})

    def _resume(self, socket: Socket, data: Json) -> None:
        """Replay what was missed, or say that the session is gone (opcode 9)."""
        self._check_token(data)
        session = self._sessions.get(str(data.get("session_id")))
        seq = data.get("seq")
        oldest = session.events[0][0] if session and session.events else None
        if session is None or session not in self._live() or not isinstance(seq, int) or isinstance(seq, bool):
            socket.send(packet(9, False))
            return
        if seq > session.seq or seq < 0:
            raise Closed(4007, "Invalid seq.")
        if seq < session.seq and (oldest is None or oldest > seq + 1):
            self._sessions.pop(session.id)
            socket.send(packet(9, False))
            return
        if session.socket is not None:
            session.socket.end(4000, "The session was resumed elsewhere.")
            self._detach(session.socket)
        self._attach(session, socket)
        for number, text in session.events:
            if number > seq:
                socket.send(text)
        self._deliver(session, "RESUMED", dumps({"_trace": []}))
        self._ledger.publish("gateway.connected", {"session": session.id, "resumed": True})

    def _check_token(self, data: Json) -> None:
        token = data.get("token")
        given = token.removeprefix("Bot ") if isinstance(token, str) else ""
        if self.token_reset or not secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode()):
            raise Closed(4004, "Authentication failed.")

    def _ready(self, session: Session) -> Json:
        return {
            "v": 10,
            "user": bot_user() | {"verified": True, "mfa_enabled": True, "email": None},
            "guilds": [{"id": str(GUILD_ID), "unavailable": True}] if session.holds_guild else [],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": list(session.shard),
            "application": {"id": str(BOT_ID), "flags": 0, "flags_new": "0"},
        }

    def _chunk(self, session: Session | None, data: Json) -> None:
        """Opcode 8: members by id or by the beginning of their name."""
        if session is None:
            return
        wanted = data.get("user_ids") or []
        wanted = {str(one) for one in (wanted if isinstance(wanted, list) else [wanted])}
        query = str(data.get("query") or "").lower()
        everybody = self._guild.members()
        if wanted:
            found = [one for one in everybody if one["user"]["id"] in wanted]
        else:
            found = [one for one in everybody if one["user"]["username"].lower().startswith(query)]
        there = {one["user"]["id"] for one in found}
        chunk: Json = {
            "guild_id": str(data.get("guild_id"))[:20],
            "members": found,
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": sorted(wanted - there),
        }
        if data.get("nonce") is not None:
            chunk["nonce"] = str(data["nonce"])[:32]
        self._deliver(session, "GUILD_MEMBERS_CHUNK", dumps(chunk))

    # -- sessions -----------------------------------------------------------------------------------------------------

    def _live(self) -> list[Session]:
        """The sessions that are connected or can still be resumed."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            if session.socket is None and now - session.cut_at > self._pace.now.resume_s:
                del self._sessions[session.id]
        return list(self._sessions.values())

    def _forget_old(self) -> None:
        """A client in a crash loop leaves a session behind at each start; the oldest without a socket go."""
        left = [session for session in self._sessions.values() if session.socket is None]
        for session in left[: max(0, len(self._sessions) - SESSIONS_KEPT)]:
            del self._sessions[session.id]

    def _deliver(self, session: Session, event: str, body: str) -> None:
        session.seq += 1
        text = f'{{"t":"{event}","s":{session.seq},"op":0,"d":{body}}}'
        session.events.append((session.seq, text))
        if session.socket is not None:
            session.socket.send(text)

    def _attach(self, session: Session, socket: Socket) -> None:
        session.socket, socket.session = socket, session

    def _detach(self, socket: Socket) -> None:
        session, socket.session = socket.session, None
        if session is not None and session.socket is socket:
            session.socket, session.cut_at = None, time.monotonic()
            self._ledger.publish("gateway.closed", {"session": session.id})

    def _gone(self, socket: Socket, code: int | None) -> None:
        """A client that closes with 1000 or 1001 ends its session; any other end leaves it resumable."""
        self._sockets.discard(socket)
        session = socket.session
        self._detach(socket)
        if session is not None and code in (1000, 1001):
            self._sessions.pop(session.id, None)


def _ended(writer: asyncio.Task[None]) -> None:
    """Take note of how a writer ended: a socket that broke under it is nothing to report."""
    if not writer.cancelled():
        error = writer.exception()
        if error is not None and not isinstance(error, ConnectionError | RuntimeError):
            raise error


def _check_query(request: web.Request) -> None:
    if request.query.get("v", "10") != "10":
        raise Closed(4012, "Invalid API version.")
    if request.query.get("encoding", "json") != "json":
        raise Closed(4002, "Only the encoding json is spoken here.")
