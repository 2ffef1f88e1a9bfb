"""The configuration file that comes of the answers: TOML that reads well, and no secret in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bot.commissioning.monitoring import Monitoring

SANDBOX_KEYS = ("discord_api", "discord_gateway", "github_api", "aws_endpoint")


@dataclass(frozen=True, slots=True)
class Person:
    """A person of the people table."""

    name: str
    discord_id: int
    duties: tuple[str, ...] = ()
    github: str = ""
    os_user: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that the file says. `endpoints` point at a sandbox, by `SANDBOX_KEYS`; a real bot has none."""

    state_dir: str
    guild_id: int
    application_id: int
    channels: Mapping[str, int]
    roles: Mapping[str, int]
    people: tuple[Person, ...]
    repository: str
    default_branch: str
    region: str
    account: str
    hosts: Mapping[str, str]
    service: str
    paths: tuple[str, ...]
    image_repository: str
    urls: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    monitoring: Monitoring = field(default_factory=Monitoring)

    def text(self) -> str:
        """The file."""
        parts = [self._head(), self._discord(), self._github(), self._aws(), *self._environments(), self._service()]
        watch = (f"{heading}\n{_lines(**values)}" for heading, values in self.monitoring.sections())
        return "\n".join((*parts, *map(_person, self.people), *watch))

    def _head(self) -> str:
        sandbox = _lines(profile="sandbox", health_port=0, link_hosts=["github.com", "127.0.0.1"])
        return (
            "# Written by `quarterdeck init`. Secrets come from the environment, never from this file.\n"
            + (sandbox if self.endpoints else "")
            + _lines(state_dir=self.state_dir)
        )

    def _discord(self) -> str:
        return "[discord]\n" + _lines(
            guild_id=self.guild_id,
            application_id=self.application_id,
            channels=self.channels,
            roles=self.roles,
            **self._endpoint(api_url="discord_api", gateway_url="discord_gateway"),
        )

    def _github(self) -> str:
        return "[github]\n" + _lines(
            repository=self.repository, default_branch=self.default_branch, **self._endpoint(api_url="github_api")
        )

    def _aws(self) -> str:
        return "[aws]\n" + _lines(
            region=self.region, account=self.account, **self._endpoint(endpoint_url="aws_endpoint")
        )

    def _endpoint(self, **names: str) -> dict[str, str]:
        return {key: self.endpoints[name] for key, name in names.items() if name in self.endpoints}

    def _environments(self) -> Iterable[str]:
        """The first environment is for trying out and takes any branch; each later one follows the one before."""
        before = ""
        for name, instance_id in self.hosts.items():
            rules: dict[str, object] = {"refs": [self.default_branch], "require_checks": True, "follows": before}
            if not before:
                rules = {"refs": ["*"], "require_checks": False}
            yield f"[environments.{name}]\n" + _lines(
                instance_id=instance_id, channel="ops", default_ref=self.default_branch, **rules
            )
            before = name

    def _service(self) -> str:
        return f"[services.{self.service}]\n" + _lines(
            paths=list(self.paths), image_repository=self.image_repository, urls=self.urls
        )


def _person(person: Person) -> str:
    more = {name: value for name in ("github", "os_user") if (value := getattr(person, name))}
    return "[[people]]\n" + _lines(name=person.name, discord_id=person.discord_id, **more, duties=list(person.duties))


def _lines(**values: object) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return _quoted(value)
        case list():
            return f"[{', '.join(_value(one) for one in value)}]"
        case Mapping():
            return f"{{ {', '.join(f'{key} = {_value(one)}' for key, one in value.items())} }}" if value else "{}"
    raise TypeError(f"a draft holds no {type(value).__name__}")


def _quoted(text: str) -> str:
    """A string of TOML (1.0, "String"): as it is between single quotes where that reads better and is possible, else a
    basic one, in which quotes, backslashes and what cannot be printed are escaped.
    """
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    escaped = ("\\" + c if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(escaped)}"'
