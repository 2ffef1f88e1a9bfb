"""One visit: the configuration is read, everything is examined, the findings are printed; the exit code sums up."""

import argparse
from collections.abc import Collection, Sequence

from bot.console.exits import Exit
from bot.console.paper import Paper
from bot.doctor import report
from bot.doctor.chat import ChatExamination
from bot.doctor.cloud import CloudExamination
from bot.doctor.command import AREAS
from bot.doctor.examination import Part, examine
from bot.doctor.findings import Finding, fine, wrong
from bot.doctor.house import HouseExamination
from bot.doctor.monitoring import MonitoringExamination
from bot.doctor.repository import RepositoryExamination
from bot.errors import Misconfigured
from bot.logs import Redactor
from bot.settings import Settings, load


def visit(options: argparse.Namespace) -> int:
    """Examine, print, and return the exit code."""
    redactor = Redactor()
    paper = Paper(redactor, as_json=options.json)
    try:
        settings = load(options.config)
    except Misconfigured as error:
        mend = error.hint or "Correct the file or the environment; the README has a table of all settings."
        _tell(paper, [Finding("configuration", wrong(str(error), mend))])
        return Exit.USAGE
    redactor.register(settings.discord_token.get_secret_value(), settings.github_token.get_secret_value())
    findings = examined(settings, only=options.only or AREAS)
    _tell(paper, findings)
    return Exit.DONE if report.healthy(findings) else Exit.FAILED


def examined(settings: Settings, *, only: Collection[str] = AREAS) -> list[Finding]:
    """Every finding about these areas of the configuration; it takes as long as the slowest part of them."""
    parts = [part for area in AREAS if area in only for part in _parts(settings, area)]
    read = Finding("configuration", fine(f"{settings.profile}, {len(settings.people)} people"))
    return [read, *examine(parts)]


def _parts(settings: Settings, area: str) -> list[Part]:
    match area:
        case "house":
            return HouseExamination(settings).parts()
        case "discord":
            return [ChatExamination(settings).part()]
        case "github":
            return [RepositoryExamination(settings).part()]
        case "aws":
            return [CloudExamination(settings).part()]
        case "monitoring":
            return MonitoringExamination(settings).parts()
    raise ValueError(f"there is no area {area}")


def _tell(paper: Paper, findings: Sequence[Finding]) -> None:
    paper.say("\n".join(report.lines(findings)))
    paper.record(report.record(findings))
