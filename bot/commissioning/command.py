"""`quarterdeck init`: its options. What it does stands in `founding`."""

import argparse

from bot.console.arguments import house_options

EXAMPLE = """example, with nothing left to ask:
  QUARTERDECK_DISCORD_TOKEN=... quarterdeck init --config quarterdeck.toml --guild 123456789012345678 \\
      --channel ops=223456789012345678 --channel audit=323456789012345678 \\
      --role sre=423456789012345678 --role dev=523456789012345678 \\
      --person ada:623456789012345678:sre,dev:ada:ada --person ben:723456789012345678:dev \\
      --repository your-team/your-repository --region eu-central-1 --account 123456789012 \\
      --host dev=i-0123456789abcdef0 --host prod=i-0fedcba9876543210 \\
      --prometheus http://127.0.0.1:9090 --alertmanager http://127.0.0.1:9093
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command; returns its parser."""
    parser = commands.add_parser(
        "init",
        parents=[house_options()],
        help="ask what a new bot needs to know, and write its configuration file",
        description="Looks up guilds, channels, roles and instances to choose from, prints the invite link with "
        "exactly the permissions that are needed, and writes --config. Options answer in advance; without a terminal "
        "they must answer everything but alerts and figures, which are left out where nothing is said of them. "
        "Secrets are never written: the Discord token comes from "
        "QUARTERDECK_DISCORD_TOKEN, or is asked for without being shown.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--state-dir", metavar="DIR", help="folder of the database (/var/lib/quarterdeck)")
    parser.add_argument("--guild", type=int, metavar="ID", help="the guild")
    parser.add_argument("--channel", action="append", metavar="NAME=ID", help="ops, audit, alerts, alerts-critical")
    parser.add_argument("--role", action="append", metavar="NAME=ID", help="sre, dev, owner, oncall")
    parser.add_argument(
        "--person", action="append", metavar="NAME:ID:DUTIES[:GITHUB[:OS_USER]]", help="who may change something"
    )
    parser.add_argument("--repository", metavar="OWNER/NAME", help="the GitHub repository")
    parser.add_argument("--branch", metavar="NAME", help="its default branch (main)")
    parser.add_argument("--region", metavar="REGION", help="of AWS")
    parser.add_argument("--account", metavar="NUMBER", help="of AWS, 12 digits")
    parser.add_argument("--host", action="append", metavar="ENVIRONMENT=INSTANCE", help="dev, prod; in this order")
    parser.add_argument("--service", metavar="NAME", help="what is deployed (app)")
    parser.add_argument("--path", action="append", metavar="PATH", help="what it is built from (app, Dockerfile, ...)")
    parser.add_argument("--url", action="append", metavar="ENVIRONMENT=URL", help="where it answers")
    _add_monitoring(parser)
    sandbox = parser.add_argument_group("only for a bot of the sandbox")
    for name in ("--discord-api", "--discord-gateway", "--github-api", "--aws-endpoint"):
        sandbox.add_argument(name, metavar="URL")
    return parser


def _add_monitoring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "alerts and figures",
        "Left out where neither server is named. Critical alerts call the role oncall, or sre where there is none.",
    )
    group.add_argument("--prometheus", metavar="URL", help="Prometheus: the figures of /status and /metrics")
    group.add_argument(
        "--alertmanager",
        action="append",
        metavar="URL",
        help="Alertmanager; more than once for the members of a cluster",
    )
    group.add_argument(
        "--alert-listener", metavar="HOST:PORT", help="where Alertmanager hands its alerts in (127.0.0.1:9095)"
    )


def main(options: argparse.Namespace) -> int:
    """Ask, write, and return the exit code."""
    from bot.commissioning.founding import found

    return found(options)
