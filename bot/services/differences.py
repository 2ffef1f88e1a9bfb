"""What a new configuration would change, in sentences: first who gains or loses which right, then rules, then the rest.

Rights are told from the people table and the policy: what each person may do at most, whatever Discord says of roles.
Of other settings only the names are told, never their values.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bot.policy import ANYBODY, RUNS, Actor, PolicyRow, places, rights, row_of, who
from bot.settings import PersonSettings, Settings

TOLD_APART = ("people", "policy", "discord.roles", "discord_token", "github_token", "alertmanager_token")


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """One sentence a difference; empty when both say the same."""
    return (*_rights(before, after), *_accounts(before, after), *_rules(before, after), *_settings(before, after))


# ---- people ----------------------------------------------------------------------------------------------------------


def _rights(before: Settings, after: Settings) -> Iterator[str]:
    had, has = _held(before), _held(after)
    for name in sorted(had.keys() | has.keys()):
        old, new = had.get(name, frozenset()), has.get(name, frozenset())
        if gained := sorted(new - old):
            yield f"{name} gains: {', '.join(gained)}."
        if lost := sorted(old - new):
            yield f"{name} loses: {', '.join(lost)}."


def _held(settings: Settings) -> dict[str, frozenset[str]]:
    """What each person of the table may do, at most."""
    held = {}
    for person in settings.people:
        actor = Actor(person.name, person.discord_id, frozenset(person.duties))
        found = rights(settings.policy_rows, actor, settings.environments)
        held[person.name] = frozenset(_named(d.rule, place) for _, place, d in found if d.allowed)
    return held


def _named(rule: str, place: str) -> str:
    return rule if place == ANYBODY or rule.endswith(f" in {place}") else f"{rule} in {place}"


def _accounts(before: Settings, after: Settings) -> Iterator[str]:
    """Rights that go to another account are gained by whoever has it, though no name shows that."""
    had, has = _by_name(before), _by_name(after)
    for name in sorted(had.keys() | has.keys()):
        old, new = had.get(name), has.get(name)
        if old is None or new is None:
            yield f"{name} {'joins' if old is None else 'leaves'} the people table."
            continue
        for field, words in (("discord_id", "Discord account"), ("github", "GitHub login"), ("os_user", "host user")):
            if getattr(old, field) != getattr(new, field):
                yield f"{name} is another {words} from then on."
    roles = before.discord.roles, after.discord.roles
    for role in sorted(roles[0].keys() | roles[1].keys()):
        if roles[0].get(role) != roles[1].get(role):
            what = "is gone" if role not in roles[1] else "is known" if role not in roles[0] else "is another one"
            yield f"The role {role} {what} from then on."


def _by_name(settings: Settings) -> dict[str, PersonSettings]:
    return {person.name: person for person in settings.people}


# ---- rules -----------------------------------------------------------------------------------------------------------


def _rules(before: Settings, after: Settings) -> Iterator[str]:
    everywhere = sorted(before.environments.keys() | after.environments.keys())
    for action in sorted(RUNS):
        for place in places(action, everywhere):
            old, new = row_of(before.policy_rows, action, place), row_of(after.policy_rows, action, place)
            if _words(old) != _words(new):
                yield f"Rule {action.value} in {place}: {_words(old)} → {_words(new)}."


def _words(row: PolicyRow | None) -> str:
    if row is None:
        return "nobody"
    agree = "nobody else must agree" if row.quorum == 0 else f"{row.quorum} of {who(row.approvers)} must approve"
    extras = (
        ", also the requester" if row.self_approval else "",
        f", {who(row.approvers)} alone to a version verified lately" if row.verified_alone else "",
        f", ends after {row.expires_s} s" if row.quorum else "",
    )
    return f"{who(row.requesters)} may ask, {agree}{''.join(extras)}"


# ---- the rest --------------------------------------------------------------------------------------------------------


def _settings(before: Settings, after: Settings) -> Iterator[str]:
    old, new = _flat(before.model_dump(mode="json")), _flat(after.model_dump(mode="json"))
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    told = [name for name in changed if not any(name == part or name.startswith(f"{part}.") for part in TOLD_APART)]
    if told:
        yield f"Settings that change: {', '.join(told)}."


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        inner = f"{path}.{name}" if path else name
        found |= _flat(value, inner) if isinstance(value, dict) else {inner: value}
    return found
