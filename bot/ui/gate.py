"""The gate in front of a command: names the action, asks the policy, and refuses in private before anything is done.

The engine asks the policy again, with the plan's facts; this gate only keeps a command from starting in vain.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import discord
from discord import app_commands

from bot.errors import Refused
from bot.policy import ANYBODY, CONTROL, Action, admission, authorise, places
from bot.ui.failures import Barred
from bot.ui.house import actor_of, house_of

T = TypeVar("T")
_MARK = "__quarterdeck_action__"
_DECIDED = "__quarterdeck_decided__"


def gate(action: Action, *, decided_by: Action | None = None) -> Callable[[T], T]:
    """Let the command run only for those to whom the policy grants `action` in the environment that they name.

    The environment is the command's option of that name, or the option's default; commands without one ask for the one
    place where the action can be done, or, to look, for any place where it is granted; what they then show is the
    lookout's business. `decided_by` names the right that the engine then asks for, about the operation itself.
    """

    async def allowed(interaction: discord.Interaction[Any]) -> bool:
        environment = _environment(interaction, action)
        try:
            if environment not in (ANYBODY, CONTROL):
                house_of(interaction).catalog.environment(environment)
        except Refused as refusal:
            raise Barred(refusal, environment=environment) from refusal
        demand(interaction, action, environment)
        return True

    def mark(command: T) -> T:
        setattr(command, _MARK, action)
        setattr(command, _DECIDED, decided_by)
        app_commands.check(allowed)(command)
        return command

    return mark


def demand(interaction: discord.Interaction[Any], action: Action, environment: str = ANYBODY) -> None:
    """That the person may do that there; `*` (or nothing): in any place at all.

    Raises:
        Barred: the policy says no.
    """
    place = environment or ANYBODY
    decision = admission(house_of(interaction).settings.policy_rows, actor_of(interaction), action, place)
    if not decision.allowed:
        refusal = Refused(decision.reason, hint=decision.hint, rule=decision.rule)
        raise Barred(refusal, environment="" if place == ANYBODY else place)


def demand_here(interaction: discord.Interaction[Any], action: Action, environment: str) -> None:
    """That the person may do that to what belongs to this very environment; what belongs to none goes by `*`.

    Raises:
        Barred: the policy says no.
    """
    decision = authorise(house_of(interaction).settings.policy_rows, actor_of(interaction), action, environment)
    if not decision.allowed:
        refusal = Refused(decision.reason, hint=decision.hint, rule=decision.rule)
        raise Barred(refusal, environment="" if environment == ANYBODY else environment)


def action_of(command: app_commands.Command[Any, ..., Any] | app_commands.ContextMenu) -> Action | None:
    """The action that the command's gate names; None for a command without a gate, which the house tests forbid."""
    return getattr(command.callback, _MARK, None)


def decided_by(command: app_commands.Command[Any, ..., Any]) -> Action | None:
    """The right over the operation itself that decides in the end; None where the gate's own does."""
    return getattr(command.callback, _DECIDED, None)


def _environment(interaction: discord.Interaction[Any], action: Action) -> str:
    command = interaction.command
    parameter = command.get_parameter("environment") if isinstance(command, app_commands.Command) else None
    if parameter is None:
        return CONTROL if places(action, ()) == (CONTROL,) else ANYBODY
    default = parameter.default if isinstance(parameter.default, str) else ""
    return str(getattr(interaction.namespace, "environment", "") or default) or ANYBODY
