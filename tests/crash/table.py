"""`python -m tests.crash.table`: runs every instant with each outage, and writes what came of it into the README.

Cases run side by side in a few worlds. What is done is kept in `.cache/crash.json`, so that a run that was broken off
goes on where it was (`--anew` begins from nothing), as long as the bot is the same to the letter. The README is written
once every instant has been seen to end well.
"""

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.crash.case import OUTAGES, Outage, Result
from tests.crash.instants import INSTANTS, Ending, Instant
from tests.crash.side_by_side import WORLDS, Case, SideBySide
from tests.story.world_driver import ROOT

SOURCES = ("bot", "cogs")
KEPT = ROOT / ".cache" / "crash.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- crash -->", "<!-- /crash -->"
COLUMNS = ("in a", "killed right before or after", "before", "after", "kills", "runs", "rollouts", "cards")
WORDS: Mapping[Ending, str] = {
    Ending.FINISHED: "went on",
    Ending.ASKED_AGAIN: "asked again",
    Ending.INTERRUPTED: "**interrupted**",
}
Results = dict[str, Result]


def cases() -> list[Case]:
    """Every instant with every outage, first of all with none."""
    return [(instant, outage) for outage in OUTAGES for instant in INSTANTS]


def key(case: Case) -> str:
    return f"{case[0].name}; {case[1]} away"


# -- running ---------------------------------------------------------------------------------------------------------


def code(root: Path = ROOT) -> str:
    """The sha256 of the bot's sources: another bot has not been seen to die."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def kept(bot: str, path: Path = KEPT) -> Results:
    """The results so far of this very bot; of instants that are no more, or are judged differently now, none."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    found = stored["results"] if stored.get("code") == bot else {}
    endings = {key((instant, outage)): instant.ending for instant, outage in cases()}
    results = {name: Result(**{**row, "ending": Ending(row["ending"])}) for name, row in found.items()}
    return {name: result for name, result in results.items() if endings.get(name) is result.ending}


def keep(results: Results, bot: str, path: Path = KEPT) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = {name: asdict(result) for name, result in results.items()}
    path.write_text(json.dumps({"code": bot, "results": rows}, indent=1), encoding="utf-8")


async def run(todo: Sequence[Case], worlds: int, results: Results, bot: str) -> list[str]:
    """Run the cases; what went wrong, in words."""
    failures = list[str]()
    async with SideBySide(todo, worlds=worlds) as crashes:

        async def tell(case: Case) -> None:
            try:
                results[key(case)] = await crashes.result(case)
            except Exception as error:  # the border of one case
                failures.append(f"{key(case)}: {error!r}")
                print(f"FAILED {key(case)}: {error}", flush=True)
                return
            keep(results, bot)
            print(f"{len(results)}/{len(cases())} {key(case)}: {results[key(case)].ending}", flush=True)

        await asyncio.gather(*(tell(case) for case in todo))
    return failures


# -- writing ---------------------------------------------------------------------------------------------------------


def summary(results: Results) -> str:
    """The sentence above the table."""
    found = list(results.values())
    endings = {ending: sum(result.ending is ending for result in found) for ending in Ending}
    away = {outage: sum(name.endswith(f"; {outage} away") for name in results) for outage in OUTAGES}
    return (
        f"{len(INSTANTS)} instants on {len(lines())} lines: {sum(result.deaths for result in found)} kills in "
        f"{len(found)} operations ({away[Outage.NOTHING]} with nothing else wrong, {away[Outage.DISCORD]} with Discord "
        f"away when the bot came back, {away[Outage.GITHUB]} with GitHub away). {endings[Ending.FINISHED]} went on, in "
        f"{endings[Ending.ASKED_AGAIN]} nothing had begun and asking again did it, {endings[Ending.INTERRUPTED]} could "
        f"not be known and said so. The table counts the kills and, for one operation, its runs on GitHub, "
        "its rollouts on the host (a version that is switched back makes two) and its cards."
    )


def lines() -> dict[tuple[str, str], list[Instant]]:
    """The table's lines: the instants of both sides under the flow and what they surround."""
    found: dict[tuple[str, str], list[Instant]] = {}
    for instant in INSTANTS:
        again = ", then again while it looks for what it had sent" if instant.then else ""
        found.setdefault((instant.flow, instant.what + again), []).append(instant)
    return found


def words(instant: Instant) -> str:
    """The endings of an instant, as the table has them."""
    return WORDS[instant.ending]


def rows(results: Results) -> list[tuple[str, ...]]:
    """One row for each line."""
    table = []
    for (flow, what), instants in lines().items():
        names = [key((instant, outage)) for instant in instants for outage in OUTAGES]
        found = [results[name] for name in names if name in results]
        sides = {instant.side: words(instant) for instant in instants}
        kills = str(sum(result.deaths for result in found))
        spans = [span(getattr(result, name) for result in found) for name in ("runs", "rollouts", "cards")]
        table.append((flow, what, sides.get("before", ""), sides.get("after", ""), kills, *spans))
    return table


def table_in(text: str) -> list[list[str]]:
    """The cells of the table's rows in the README."""
    section = text.split(BEGIN)[1].split(END)[0]
    found = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def span(counts: Iterable[int]) -> str:
    """`1`, or `0–1` when not all are alike."""
    found = sorted(set(counts))
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"


def markdown(results: Results) -> str:
    line = "| {} |".format
    table = [line(" | ".join(cells)) for cells in (COLUMNS, ("---",) * len(COLUMNS), *rows(results))]
    return "\n".join([BEGIN, summary(results), "", *table, END])


def write(results: Results, path: Path = README) -> None:
    """Put the table between the README's marks."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    path.write_text(before + markdown(results) + rest.split(END)[1], encoding="utf-8")


# -- the command -----------------------------------------------------------------------------------------------------


def main() -> int:
    """Run what is asked for; exit code 1 when a case went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.table", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="only cases whose name holds these words")
    parser.add_argument("--anew", action="store_true", help="forget what earlier runs have seen")
    parser.add_argument("--worlds", type=int, default=WORLDS, help=f"so many worlds side by side (default {WORLDS})")
    asked = parser.parse_args()
    bot = code()
    results = {} if asked.anew else kept(bot)
    todo = [case for case in cases() if key(case) not in results and asked.only in key(case)]
    failures = asyncio.run(run(todo, asked.worlds, results, bot))
    for failure in failures:
        print(failure.split("\n", 1)[0], file=sys.stderr)
    left = len(cases()) - len(results)
    if {name.rpartition("; ")[0] for name in results} >= {instant.name for instant in INSTANTS}:
        write(results)
        print(f"The README's table is written; {left} cases are still to be seen." if left else "The table is written.")
    else:
        print(f"{left} cases are still to be seen; the README stays as it is until each instant was seen once.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
