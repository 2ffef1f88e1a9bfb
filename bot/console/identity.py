"""Who sits at the command line: the user of the host, as the kernel says, and the person whom the configuration makes
of it. What a user may write into the environment counts only where that user could write the rows as well.
"""

import pwd
from collections.abc import Mapping
from pathlib import Path

from bot.errors import Refused
from bot.people import People

UNMAPPED = "os user"
"""The rule of a refusal for users whom the configuration does not name."""


def os_users(state_dir: Path, environ: Mapping[str, str], *, own: int) -> tuple[str, ...]:
    """The names by which the caller, the user number `own`, may be known, the most telling first.

    `sudo` says in SUDO_UID who called it. That is believed only of root and of the state directory's owner: either
    could change every row without asking us, so that a forged name would win nothing.
    """
    trusted = own == 0 or (state_dir.exists() and state_dir.stat().st_uid == own)
    caller = environ.get("SUDO_UID", "") if trusted else ""
    numbers = [int(caller)] if caller.isascii() and caller.isdigit() else []
    names = [_name(number) for number in (*numbers, own)]
    return tuple(dict.fromkeys(name for name in names if name))


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return ""


def person_of(people: People, users: tuple[str, ...]) -> str:
    """The person of the configuration behind these users of the host.

    Raises:
        Refused: the configuration maps none of them to a person.
    """
    for user in users:
        person = people.by_os_user(user)
        if person is not None:
            return person
    called = users[0] if users else "without a name"
    raise Refused(
        f"The user {called} of this host is nobody in the configuration's people table, and only people of that table "
        "act at the command line. Nothing was done.",
        hint=f'Whoever keeps the configuration can add os_user = "{called}" to that person.',
        rule=UNMAPPED,
    )
