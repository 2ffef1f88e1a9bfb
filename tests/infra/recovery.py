"""Writes the drills' measured times into the recovery table of infra/README.md: `python -m tests.infra.recovery`.

The times are those that the last run of the drills left in .cache/infra-times.json.
"""

import json
import re
from collections.abc import Mapping

from tests.infra.conftest import TIMES
from tests.infra.terraform import INFRA

README = INFRA / "README.md"
UNKNOWN = "not measured yet"
PART = re.compile(r"(?<=<!-- drills -->\n).*?(?=<!-- /drills -->)", re.DOTALL)
DRILLS: Mapping[str, Mapping[str, str]] = {
    "container crash": {"container crash": "until it answers again"},
    "reboot": {"reboot": "from the start of the machine until it answers"},
    "instance lost": {
        "instance lost": "until the new one stands",
        "host disk lost": "until it answers, with an empty disk",
    },
    "state corrupted": {"state corrupted": "with the plan that finds nothing to do"},
    "region lost": {"second region": "until all of dev stands there"},
}
"""By the first cell of each row: the drills whose times it shows, and what each time is."""


def measured(event: str, times: Mapping[str, float]) -> str:
    """The last cell of an event's row."""
    drills = DRILLS[event]
    if not drills.keys() <= times.keys():
        return UNKNOWN
    return ", ".join(f"{times[drill]:.1f} s {meaning}" for drill, meaning in drills.items())


def filled(text: str, times: Mapping[str, float]) -> str:
    """The README with these times in its table."""

    def row(line: str) -> str:
        cells = line.strip("|").split("|")
        event = cells[0].strip()
        return "|".join(("", *cells[:-1], f" {measured(event, times)} ", "")) if event in DRILLS else line

    return PART.sub(lambda part: "".join(f"{row(line)}\n" for line in part[0].splitlines()), text)


def main() -> None:
    README.write_text(filled(README.read_text(), json.loads(TIMES.read_text())))


if __name__ == "__main__":
    main()
