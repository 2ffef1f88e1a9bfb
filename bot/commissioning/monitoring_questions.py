"""The questions of `init` about alerts and figures: whether, where the servers are, who sees and who is called.

They come last, and one Enter leaves them out. The channel and the role are chosen from the guild's own, as all others
are; whether the servers answer is the doctor's business, because they may well be brought up later.
"""

import ipaddress
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from bot.alert_settings import Address
from bot.commissioning.desk import NONE, Choice, Desk, only, pairs, snowflake
from bot.commissioning.monitoring import CHANNEL, CRITICAL_CHANNEL, LISTENER, OWNERS, Monitoring
from bot.errors import Misconfigured

T = TypeVar("T")

ONCALL = "oncall"
"""What the configuration calls the role for critical alerts where it is none of the policy's."""
APPROVERS = "sre"
"""Who is called where nobody chooses."""
PROMETHEUS, ALERTMANAGER = "http://127.0.0.1:9090", "http://127.0.0.1:9093"
"""Where `monitoring/` has them, on the bot's own host."""
_ADDRESS: TypeAdapter[object] = TypeAdapter(Address)


@dataclass(frozen=True, slots=True)
class Known:
    """What is chosen already and what the guild has: channels and roles by the names that the bot gives them."""

    channels: Mapping[str, int]
    roles: Mapping[str, int]
    guild_channels: Sequence[Choice[int]]
    guild_roles: Sequence[Choice[int]]


class MonitoringQuestions:
    """One round of them; `--prometheus`, `--alertmanager`, `--alert-listener` and the names answer in advance."""

    def __init__(self, options: Namespace, desk: Desk, known: Known) -> None:
        self._options = options
        self._desk = desk
        self._known = known

    def answers(self) -> Monitoring:
        """What is wanted; nothing, where nobody asked for it.

        Raises:
            Misconfigured: an answer is missing or makes no sense.
        """
        if not self._wanted():
            return Monitoring()
        prometheus, alertmanagers = self._prometheus(), self._alertmanagers()
        if not alertmanagers:
            self._refuse_a_listener_alone()
            return Monitoring(prometheus=prometheus)
        channels = self._channels()
        role, role_id = self._role()
        return Monitoring(
            alertmanagers=alertmanagers,
            prometheus=prometheus,
            listener=self._listener(),
            critical_channel=CRITICAL_CHANNEL if CRITICAL_CHANNEL in self._known.channels else CHANNEL,
            role=role,
            escalates_to=OWNERS if OWNERS in self._known.roles and role != OWNERS else "",
            channels=channels,
            roles={} if role in self._known.roles else {role: role_id},
        )

    def _wanted(self) -> bool:
        given = (self._options.prometheus, self._options.alertmanager, self._options.alert_listener)
        if any(given) or not self._desk.interactive:
            return any(given)
        self._desk.say(
            "\nAlerts and figures come from Prometheus and Alertmanager, which the folder monitoring/ brings up. "
            "All of it can be added later."
        )
        typed = self._desk.line("set that up now? (yes, no)", option="--alertmanager", default="no")
        return typed.lower() in ("y", "yes")

    # ---- the servers -----------------------------------------------------------------------------------------

    def _prometheus(self) -> str:
        """Its address; empty: there is none."""
        if given := self._options.prometheus:
            return _address(given, "--prometheus")
        if not self._desk.interactive:
            return ""
        question = "address of Prometheus (- for none: no figures)"
        return self._asked(lambda text: "" if text == NONE else _address(text, "--prometheus"), question, PROMETHEUS)

    def _alertmanagers(self) -> tuple[str, ...]:
        """The members of one cluster."""
        if given := self._options.alertmanager:
            return tuple(_address(text, "--alertmanager") for text in given)
        if not self._desk.interactive:
            return ()

        def read(text: str) -> tuple[str, ...]:
            members = text.split(",") if text != NONE else []
            return tuple(_address(one.strip(), "--alertmanager") for one in members)

        question = "address of Alertmanager (- for none: no alerts; members of one cluster with commas)"
        return self._asked(read, question, ALERTMANAGER)

    def _listener(self) -> tuple[str, int]:
        host, port = LISTENER
        given = self._options.alert_listener
        if given or not self._desk.interactive:
            found = _listener(given) if given else LISTENER
        else:
            found = self._asked(_listener, "where the bot takes Alertmanager's webhooks (HOST:PORT)", f"{host}:{port}")
        if not _only_this_host(found[0]):
            self._desk.say(f"Others reach {found[0]}, too: name in alerts.sources the networks that may knock there.")
        return found

    def _refuse_a_listener_alone(self) -> None:
        if self._options.alert_listener:
            raise Misconfigured("--alert-listener is where Alertmanager knocks.", hint="Give --alertmanager as well.")

    def _asked(self, read: Callable[[str], T], question: str, default: str) -> T:
        """A typed line, read; asked again until it can be."""
        while True:
            try:
                return read(self._desk.line(question, option="", default=default))
            except Misconfigured as error:
                self._desk.say(str(error))

    # ---- who sees, who is called -----------------------------------------------------------------------------

    def _channels(self) -> dict[str, int]:
        """The channel of alerts, where none was chosen before: without one their cards would have no place."""
        if CHANNEL in self._known.channels:
            return {}
        purpose = "where alerts are shown"
        return {CHANNEL: self._desk.named(CHANNEL, purpose, self._known.guild_channels, "--channel", needed=True)}

    def _role(self) -> tuple[str, int]:
        """Whom critical alerts call: the name in the configuration, and the id."""
        given = pairs(self._options.role, "--role").get(ONCALL)
        role_id = snowflake(given, "--role") if given else self._chosen_role()
        return next((name for name, known in self._known.roles.items() if known == role_id), ONCALL), role_id

    def _chosen_role(self) -> int:
        there, usual = self._known.guild_roles, self._known.roles.get(APPROVERS)
        same = [choice.value for choice in there if choice.name == ONCALL]
        return self._desk.pick(
            f"Which role is called for critical alerts? Whoever takes one needs {', '.join(self._known.roles)}.",
            there,
            option=f"--role {ONCALL}=ID",
            default=only(same) if same else usual,
        )


def _address(text: str, option: str) -> str:
    """An address as the settings take it; `http://` may be left out.

    Raises:
        Misconfigured: it is none.
    """
    url = (text if "://" in text else f"http://{text}").rstrip("/")
    try:
        _ADDRESS.validate_python(url)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]["msg"].removeprefix("Value error, ")
        # What was typed is not repeated: it may hold a password.
        raise Misconfigured(f"{option}: that is no address such as {ALERTMANAGER} ({fault}).") from error
    return url


def _listener(text: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 address in brackets.

    Raises:
        Misconfigured: it is not of that form.
    """
    host, mark, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not (mark and bare) or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise Misconfigured(f"--alert-listener: {text!r} is not of the form HOST:PORT, such as 127.0.0.1:9095.")
    if ":" in bare and bare == host:
        raise Misconfigured(f"--alert-listener: {text!r} is ambiguous; an IPv6 address stands in brackets: [::1]:9095.")
    return bare, int(port)


def _only_this_host(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
