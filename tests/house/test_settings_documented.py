"""Every setting stands in the README's table, so that nobody has to read the code to configure the bot."""

import pathlib
import re

from pydantic import BaseModel

from bot import alert_settings as alert_module
from bot import settings as settings_module
from bot.settings import SECRETS, SECTION_SECRETS, Settings

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

SECTIONS = {
    "": Settings,
    "discord": settings_module.DiscordSettings,
    "github": settings_module.GithubSettings,
    "aws": settings_module.AwsSettings,
    "environments.NAME": settings_module.EnvironmentSettings,
    "services.NAME": settings_module.ServiceSettings,
    "people": settings_module.PersonSettings,
    "policy": settings_module.PolicySettings,
    "limits": settings_module.LimitSettings,
    "backup": settings_module.BackupSettings,
    "retention": settings_module.RetentionSettings,
    "alerts": alert_module.AlertSettings,
    "alerts.labels": alert_module.LabelSettings,
    "alerts.flapping": alert_module.FlappingSettings,
    "alerts.heartbeats": alert_module.HeartbeatSettings,
    "alerts.second_road": alert_module.SecondRoad,
    "alerts.oncall": alert_module.OncallSettings,
    "alerts.routes": alert_module.RouteSettings,
    "alerts.routes.escalation": alert_module.EscalationStep,
    "alerts.routes.quiet_hours": alert_module.QuietHours,
    "metrics": alert_module.MetricsSettings,
    "metrics.panels.NAME": alert_module.PanelSettings,
    "metrics.figures": alert_module.FigureSettings,
}
VARIABLES = {*SECRETS.values(), *(variable for _, variable in SECTION_SECRETS.values())}


def settings_of(prefix: str, model: type[BaseModel]) -> list[str]:
    """The section's own settings: without secrets, and without the sections in it."""
    within = f"{prefix}." if prefix else ""
    nested = {
        name.removeprefix(within).split(".")[0] for name in SECTIONS if name != prefix and name.startswith(within)
    }
    secret = {*SECRETS, *SECTION_SECRETS}
    return [f"{within}{name}" for name in model.model_fields if name not in secret and name not in nested]


def test_the_readme_lists_every_setting_and_no_other():
    listed = set(re.findall(r"^\| `([A-Za-z0-9_.]+)` \|", README, re.MULTILINE))
    existing = {name for prefix, model in SECTIONS.items() for name in settings_of(prefix, model)}
    assert existing - listed == set(), "settings that the README does not explain"
    assert listed - existing - VARIABLES == set(), "settings that the README invents"


def test_the_readme_names_every_secret():
    assert all(variable in README for variable in VARIABLES)
