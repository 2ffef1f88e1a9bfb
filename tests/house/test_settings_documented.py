"""Every setting stands in the README's table, so that nobody has to read the code to configure the bot."""

import pathlib
import re

from pydantic import BaseModel

from bot import settings as settings_module
from bot.settings import SECRETS, Settings

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
}


def settings_of(prefix: str, model: type[BaseModel]) -> list[str]:
    nested = {name for name in SECTIONS if name and "." not in name} if prefix == "" else set()
    plain = [name for name in model.model_fields if name not in SECRETS and name not in nested]
    skipped = {"environments", "services"} if prefix == "" else set()
    return [f"{prefix}.{name}".lstrip(".") for name in plain if name not in skipped]


def test_the_readme_lists_every_setting_and_no_other():
    listed = set(re.findall(r"^\| `([A-Za-z_.]+)` \|", README, re.MULTILINE))
    existing = {name for prefix, model in SECTIONS.items() for name in settings_of(prefix, model)}
    assert existing - listed == set(), "settings that the README does not explain"
    assert listed - existing - set(SECRETS.values()) == set(), "settings that the README invents"


def test_the_readme_names_every_secret():
    assert all(variable in README for variable in SECRETS.values())
