"""What the front needs of the rest of the house, as a Protocol: wiring hands over the real thing."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Protocol, cast

import discord

from bot.clients.alertmanager import AlertmanagerClient
from bot.errors import Refused
from bot.logs import Redactor
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.lookout import Lookout
from bot.ops.model import Operation
from bot.ops.roster import Roster
from bot.people import People
from bot.policy import Actor
from bot.services.catalog import Catalog
from bot.services.changes import Changes
from bot.services.figures import Figures
from bot.services.history import History
from bot.services.reload import Configuration
from bot.services.rollback import RollbackHandler
from bot.services.spans import zone_of
from bot.services.status import StatusService
from bot.settings import Settings
from bot.ui.board_store import BoardStore
from bot.ui.chart_process import Charts
from bot.ui.first_answers import FirstAnswers
from bot.ui.text import message_url

if TYPE_CHECKING:
    from bot.alerts.store import AlertStore
    from bot.services.handover import Handover
    from bot.services.reconciler import Reconciler
    from bot.services.silences import SilenceService
    from bot.ui.board import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """What there is only with the section `[alerts]`. `alertmanager` is None where the file names no address of it."""

    store: "AlertStore"
    alertmanager: AlertmanagerClient | None
    silences: "SilenceService"
    reconciler: "Reconciler"
    handover: "Handover"


class House(Protocol):
    """The opened parts, as commands and buttons see them."""

    @property
    def settings(self) -> Settings: ...
    @property
    def configuration(self) -> Configuration: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def lookout(self) -> Lookout: ...
    @property
    def catalog(self) -> Catalog: ...
    @property
    def status(self) -> StatusService: ...
    @property
    def rollbacks(self) -> RollbackHandler: ...
    @property
    def history(self) -> History: ...
    @property
    def changes(self) -> Changes: ...
    @property
    def figures(self) -> Figures | None: ...
    @property
    def alerting(self) -> Alerting | None: ...
    @property
    def charts(self) -> Charts: ...
    @property
    def people(self) -> People: ...
    @property
    def roster(self) -> Roster: ...
    @property
    def board(self) -> "Board": ...
    @property
    def handles(self) -> BoardStore: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def version(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def redactor(self) -> Redactor: ...
    @property
    def first_answers(self) -> FirstAnswers: ...


class _HasHouse(Protocol):
    house: House


def house_of(interaction: discord.Interaction[Any]) -> House:
    """The house behind the bot that received this interaction."""
    return cast(_HasHouse, interaction.client).house


def alerting_of(interaction: discord.Interaction[Any]) -> Alerting:
    """What deals with alerts.

    Raises:
        Refused: this installation has none.
    """
    alerting = house_of(interaction).alerting
    if alerting is None:
        raise Refused("This installation has no alerts.", hint="Add the section [alerts] to its file.", rule="alerts")
    return alerting


def actor_of(interaction: discord.Interaction[Any]) -> Actor:
    """Who asks, with the roles that this very interaction brings."""
    return house_of(interaction).people.actor_of(interaction.user)


def zone_here(interaction: discord.Interaction[Any]) -> tzinfo:
    """Where times are meant that somebody types without an offset."""
    return zone_of(house_of(interaction).settings.alerts)


def jump_url(house: House, channel_id: int, message_id: int) -> str:
    """The address of a message in our guild."""
    return message_url(house.settings.discord.guild_id, channel_id, message_id)


async def card_link(house: House, operation: Operation, *, within_s: float = 0.0) -> str:
    """A link to the operation's card; empty when it stands nowhere within that time."""
    row = await house.board.standing(operation.card_key, within_s=within_s)
    if row is None or row.message_id is None:
        return ""
    return f"[card]({jump_url(house, row.channel_id, row.message_id)})"
