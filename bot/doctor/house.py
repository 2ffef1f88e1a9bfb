"""The checks of what is at home: the state directory, the policy against the people table, the services' addresses."""

import asyncio
import os
import shutil
import stat
from functools import partial
from pathlib import Path

from bot.clients.http import HttpClient
from bot.doctor.examination import Check, Part
from bot.doctor.findings import Verdict, fine, warning, wrong
from bot.errors import Unavailable
from bot.policy import Action, PolicyRow, row_of
from bot.settings import Settings

FREE_LEAST_MIB = 200
HEALTH_TIMEOUT_S = 5.0


class HouseExamination:
    """The checks of one configuration that ask nobody outside, and the services that it deploys."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def parts(self) -> list[Part]:
        """The checks, in order; the services are asked beside the rest."""
        services = [(name, place) for name, service in self._settings.services.items() for place in service.urls]
        return [
            [
                Check("state directory", self._state),
                Check("people", self._people),
                *(Check(f"policy {name}", partial(self._policy, name)) for name in self._settings.environments),
            ],
            [Check(f"service {name} in {place}", partial(self._service, name, place)) for name, place in services],
        ]

    def _state(self) -> Verdict:
        folder = self._settings.state_dir
        above = next((one for one in (folder, *folder.parents) if one.exists()), folder)
        if not above.is_dir():
            return wrong(f"{above} is no directory", "Name another state_dir.")
        if not os.access(above, os.W_OK | os.X_OK):
            return wrong(
                f"this user may not write in {above}", "Make the directory with the bot's user as its owner (mode 700)."
            )
        free_mib = shutil.disk_usage(above).free // 2**20
        if free_mib < FREE_LEAST_MIB:
            return warning(f"only {free_mib} MiB are free for {folder}", "Make room, or name another state_dir.")
        exposed = _exposed(folder) or _exposed(self._settings.database_file, readable=True)
        if exposed is not None:
            return warning(f"other users of this machine may get at {exposed}", f"chmod o-rwx {exposed}")
        return fine(f"{folder}, {free_mib // 1024} GiB free" + ("" if folder.exists() else " (will be created)"))

    def _people(self) -> Verdict:
        """Whether each account is one person's, and each duty a role."""
        people, roles = self._settings.people, self._settings.discord.roles
        owners: dict[int, str] = {}
        for person in people:
            other = owners.setdefault(person.discord_id, person.name)
            if other != person.name:
                return wrong(
                    f"{other} and {person.name} have the same Discord account, so one human could vote twice",
                    "Give each person the own discord_id; further accounts of one person repeat the name.",
                )
            if unknown := [duty for duty in person.duties if duty not in roles]:
                return wrong(
                    f"{person.name} has the duty {', '.join(unknown)}, which discord.roles does not list",
                    f"The roles are {', '.join(roles)}: correct the duty, or add the role.",
                )
        if not people:
            return wrong("the people table is empty: nobody may change anything", "Add [[people]] to the file.")
        return fine(f"{len(set(owners.values()))} people, {len(owners)} accounts")

    def _policy(self, environment: str) -> Verdict:
        row = row_of(self._settings.policy_rows, Action.DEPLOY, environment)
        if row is None:
            return wrong(
                f"no row of the policy is about deploys to {environment}: nobody may",
                f'Add a [[policy]] row with action = "deploy:run" and environment = "{environment}".',
            )
        asking, deciding = self._holding(row.requesters), self._holding(row.approvers)
        if not asking:
            return wrong(
                f"nobody in the people table may ask for a deploy to {environment}",
                f"Give somebody one of the duties {', '.join(row.requesters)}.",
            )
        if row.quorum and not any(self._enough(row, person, deciding) for person in asking):
            return wrong(
                f"a deploy to {environment} needs {row.quorum} of {', '.join(row.approvers)}, not its requester, "
                "and the people table has too few",
                "Add people with that duty, or write a [[policy]] row that your team can keep.",
            )
        approval = f"{row.quorum} of {', '.join(row.approvers)} must approve" if row.quorum else "nobody must approve"
        return fine(f"{len(asking)} people may ask for a deploy to {environment}; {approval}")

    def _holding(self, roles: tuple[str, ...]) -> list[str]:
        people = self._settings.people
        return [person.name for person in people if "*" in roles or set(person.duties) & set(roles)]

    def _enough(self, row: PolicyRow, requester: str, deciding: list[str]) -> bool:
        others = [person for person in deciding if row.self_approval or person != requester]
        return len(others) >= row.quorum

    def _service(self, name: str, environment: str) -> Verdict:
        url = f"{str(self._settings.services[name].urls[environment]).rstrip('/')}/health"
        try:
            answer = asyncio.run(_fetched(url))
        except Unavailable as error:
            return warning(
                str(error), "Nothing to mend before the first deploy; else look at the host, its front and the address."
            )
        commit = str(answer.get("commit", ""))
        if not commit:
            return warning(f"{url} does not name the commit that runs", "The service must answer with its commit.")
        return fine(f"{str(answer.get('status', 'answers'))[:20]}, commit {commit[:7]}")


def _exposed(path: Path, *, readable: bool = False) -> Path | None:
    """The path if every user can come to it and may write to it, or read it where that is asked."""
    unwanted = stat.S_IWOTH | (stat.S_IROTH if readable else 0)
    if not path.exists() or not path.stat().st_mode & unwanted:
        return None
    return path if all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents) else None


async def _fetched(url: str) -> dict[str, object]:
    http = HttpClient()
    try:
        return await http.get_json(url, timeout_s=HEALTH_TIMEOUT_S)
    finally:
        await http.close()
