"""Who somebody is: ids count, names do not."""

from dataclasses import dataclass, field

from bot.people import People
from bot.policy import Door


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


PEOPLE = People(
    accounts=[("dev", 11), ("sre", 12), ("sre", 13)],
    roles={"dev": 101, "sre": 102},
    duties={"dev": ("dev",), "sre": ("sre", "dev")},
    os_users={"deckhand": "sre", "": "dev"},
)


def test_a_member_is_the_person_of_its_id_with_the_roles_that_the_configuration_names() -> None:
    actor = PEOPLE.actor_of(Member(11, (Role(101), Role(999))))
    assert (actor.name, actor.discord_id, actor.roles, actor.known) == ("dev", 11, frozenset({"dev"}), True)
    assert (actor.door, actor.confirmed) == (Door.DISCORD, True)


def test_a_role_in_discord_widens_nothing_that_the_duties_do_not_hold() -> None:
    promoted = Member(11, (Role(101), Role(102)))
    assert PEOPLE.actor_of(promoted).roles == frozenset({"dev"})
    assert PEOPLE.discord_roles(promoted) == frozenset({"dev", "sre"})


def test_a_duty_counts_only_while_discord_gives_the_role() -> None:
    assert PEOPLE.actor_of(Member(12, (Role(102),))).roles == frozenset({"sre"})
    assert PEOPLE.actor_of(Member(12)).roles == frozenset()


def test_a_person_without_duties_holds_no_role() -> None:
    bare = People(accounts=[("dev", 11)], roles={"dev": 101})
    assert bare.actor_of(Member(11, (Role(101),))).roles == frozenset()


def test_two_accounts_of_one_person_are_one_actor() -> None:
    assert PEOPLE.actor_of(Member(12)).name == PEOPLE.actor_of(Member(13)).name == "sre"
    assert PEOPLE.discord_id("sre") == 12
    assert PEOPLE.accounts("sre") == (12, 13)
    assert PEOPLE.names() == ("dev", "sre")


def test_an_unknown_account_goes_by_its_id_and_keeps_its_roles() -> None:
    actor = PEOPLE.actor_of(Member(77, (Role(102),)))
    assert (actor.name, actor.known, actor.roles) == ("77", False, frozenset({"sre"}))


def test_a_user_outside_the_guild_has_no_roles() -> None:
    assert PEOPLE.actor_of(User(11)).roles == frozenset()


def test_at_another_door_the_roles_are_those_of_discord_or_else_the_duties_unconfirmed() -> None:
    line = Door.COMMAND_LINE
    told = PEOPLE.person("sre", door=line, discord_roles=frozenset({"sre", "owner"}))
    assert (told.roles, told.confirmed, told.door) == (frozenset({"sre"}), True, line)
    silent = PEOPLE.person("sre", door=line, discord_roles=None)
    assert (silent.roles, silent.confirmed) == (frozenset({"sre", "dev"}), False)
    gone = PEOPLE.person("sre", door=line, discord_roles=frozenset())
    assert (gone.roles, gone.confirmed) == (frozenset(), True)


def test_a_name_that_nobody_wrote_down_may_do_nothing_at_any_door() -> None:
    nobody = PEOPLE.person("intruder", door=Door.COMMAND_LINE, discord_roles=frozenset({"sre"}))
    assert (nobody.roles, nobody.known, nobody.discord_id) == (frozenset(), False, None)
    assert PEOPLE.duties("intruder") == frozenset()
    assert PEOPLE.accounts("intruder") == ()


def test_a_user_of_the_host_is_who_the_configuration_says_and_an_empty_name_is_nobody() -> None:
    assert PEOPLE.by_os_user("deckhand") == "sre"
    assert PEOPLE.by_os_user("root") is None
    assert PEOPLE.by_os_user("") is None


def test_only_configured_roles_have_ids_to_ping() -> None:
    assert PEOPLE.role_ids(("sre", "nobody")) == [102]
    assert PEOPLE.discord_id("nobody") is None
