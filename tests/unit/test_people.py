"""Who somebody is: ids count, names do not."""

from dataclasses import dataclass, field

from bot.people import People


@dataclass(frozen=True)
class Role:
    id: int


@dataclass(frozen=True)
class Member:
    id: int
    roles: tuple[Role, ...] = ()
    display_name: str = field(default="owner")


@dataclass(frozen=True)
class User:
    id: int


PEOPLE = People(accounts=[("dev", 11), ("sre", 12), ("sre", 13)], roles={"dev": 101, "sre": 102})


def test_a_member_is_the_person_of_its_id_with_the_roles_that_the_configuration_names() -> None:
    actor = PEOPLE.actor_of(Member(11, (Role(101), Role(999))))
    assert (actor.name, actor.discord_id, actor.roles, actor.known) == ("dev", 11, frozenset({"dev"}), True)


def test_two_accounts_of_one_person_are_one_actor() -> None:
    assert PEOPLE.actor_of(Member(12)).name == PEOPLE.actor_of(Member(13)).name == "sre"
    assert PEOPLE.discord_id("sre") == 12


def test_an_unknown_account_goes_by_its_id_and_keeps_its_roles() -> None:
    actor = PEOPLE.actor_of(Member(77, (Role(102),)))
    assert (actor.name, actor.known, actor.roles) == ("77", False, frozenset({"sre"}))


def test_a_user_outside_the_guild_has_no_roles() -> None:
    assert PEOPLE.actor_of(User(11)).roles == frozenset()


def test_only_configured_roles_have_ids_to_ping() -> None:
    assert PEOPLE.role_ids(("sre", "nobody")) == [102]
    assert PEOPLE.discord_id("nobody") is None
