"""Who gets which role, and who does not: each row is a sentence that the trust policies are held against."""

from dataclasses import dataclass, field

from tests.infra.iam_simulator import Context, Policy, Principal
from tests.infra.identities import ACCOUNT, ADA, IAM, OWNER, OWNER_ID, PROVIDER, REPOSITORY, REPOSITORY_ID

EVERYTHING = Policy.of(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]},
)


@dataclass(frozen=True, slots=True)
class Taking:
    """One role, and somebody who wants it. `caller` may be the name of another of our roles."""

    sentence: str
    role: str
    caller: str | Principal
    action: str = "sts:AssumeRole"
    context: Context = field(default_factory=dict)
    granted: bool = False


BY_TOKEN = "sts:AssumeRoleWithWebIdentity"
GITHUB = Principal(PROVIDER, kind="Federated")
CLAIM = "token.actions.githubusercontent.com"
OLD_FORM = f"repo:{OWNER}/{REPOSITORY}"
NEW_FORM = f"repo:{OWNER}@{OWNER_ID}/{REPOSITORY}@{REPOSITORY_ID}"
MAIN = "ref:refs/heads/main"


def token(sentence: str, subject: str, audience: str = "sts.amazonaws.com", *, granted: bool = False) -> Taking:
    claims = {f"{CLAIM}:aud": audience, f"{CLAIM}:sub": subject}
    return Taking(f"build {sentence}", "build", GITHUB, BY_TOKEN, claims, granted)


def somebody(arn: str, *, kind: str = "AWS") -> Principal:
    """One whose own policies allow everything: only the trust policy stands between."""
    return Principal(arn, (EVERYTHING,), kind=kind)


BUILD_TAKINGS = [
    token("is taken by main, subject of the old form", f"{OLD_FORM}:{MAIN}", granted=True),
    token("is taken by main, subject of the new form", f"{NEW_FORM}:{MAIN}", granted=True),
    *(
        token(f"is not taken {sentence}, {form} form", f"{subject}:{tail}")
        for form, subject in (("old", OLD_FORM), ("new", NEW_FORM))
        for sentence, tail in (
            ("by another branch", "ref:refs/heads/feature"),
            ("by a branch whose name begins with main", "ref:refs/heads/main2"),
            ("by a branch whose name ends with main", "ref:refs/heads/not/main"),
            ("by a tag called main", "ref:refs/tags/main"),
            ("by a pull request", "pull_request"),
            ("by an environment", "environment:prod"),
            ("by an environment named like the branch", "environment:main"),
            ("by another case of the branch", "ref:refs/heads/Main"),
            ("by more behind the branch", f"{MAIN}:more"),
        )
    ),
    token("is not taken by another repository of the owner", f"repo:{OWNER}/other:{MAIN}"),
    token("is not taken by a repository whose name begins like ours", f"repo:{OWNER}/{REPOSITORY}-two:{MAIN}"),
    token("is not taken by a fork", f"repo:mallory/{REPOSITORY}:{MAIN}"),
    token("is not taken by a fork, new form", f"repo:mallory@1/{REPOSITORY}@2:{MAIN}"),
    token("is not taken by an owner whose name begins like ours", f"repo:{OWNER}-two/{REPOSITORY}:{MAIN}"),
    token("is not taken by who registered the owner's old name", f"repo:{OWNER}@1/{REPOSITORY}@{REPOSITORY_ID}:{MAIN}"),
    token("is not taken by a repository made anew", f"repo:{OWNER}@{OWNER_ID}/{REPOSITORY}@3:{MAIN}"),
    token(
        "is not taken by the ids in the wrong places", f"repo:{OWNER}@{REPOSITORY_ID}/{REPOSITORY}@{OWNER_ID}:{MAIN}"
    ),
    token("is not taken by half of the new form", f"repo:{OWNER}@{OWNER_ID}/{REPOSITORY}:{MAIN}"),
    token("is not taken by another case of the owner", f"repo:{OWNER.title()}/{REPOSITORY}:{MAIN}"),
    token("is not taken by a subject with a wildcard", f"repo:{OWNER}/{REPOSITORY}:*"),
    token("is not taken by an empty subject", ""),
    token("is not taken with a token for somebody else", f"{OLD_FORM}:{MAIN}", "https://github.com/night-watch"),
    Taking("build is not taken without an audience", "build", GITHUB, BY_TOKEN, {f"{CLAIM}:sub": f"{OLD_FORM}:{MAIN}"}),
    Taking("build is not taken without a subject", "build", GITHUB, BY_TOKEN, {f"{CLAIM}:aud": "sts.amazonaws.com"}),
    Taking(
        "build is not taken through another provider",
        "build",
        Principal(f"{IAM}:oidc-provider/gitlab.com", kind="Federated"),
        BY_TOKEN,
        {f"{CLAIM}:aud": "sts.amazonaws.com", f"{CLAIM}:sub": f"{OLD_FORM}:{MAIN}"},
    ),
    Taking("build is not taken without a token", "build", "bot"),
]

GRACE = f"{IAM}:user/grace"
ELSEWHERE = "arn:aws:iam::999999999999"

OTHER_TAKINGS = [
    Taking("bot is taken by the host that it runs on", "bot", "dev", granted=True),
    Taking("bot is not taken by a host that it does not run on", "bot", "prod"),
    Taking("bot is not taken by the build role", "bot", "build"),
    Taking("bot is not taken by the team", "bot", "team"),
    Taking("bot is not taken by the role of apply", "bot", "apply"),
    Taking(
        "bot is taken by a host of a further region that may",
        "bot",
        somebody(f"{IAM}:role/quarterdeck-dev-eu-west-1-instance"),
        granted=True,
    ),
    Taking("bot is not taken by an administrator's role", "bot", somebody(f"{IAM}:role/administrator")),
    Taking("bot is not taken by a user who may everything", "bot", somebody(ADA)),
    Taking(
        "bot is not taken by a host of an environment that is not listed",
        "bot",
        somebody(f"{IAM}:role/quarterdeck-control-instance"),
    ),
    Taking("bot is not taken by another project's host", "bot", somebody(f"{IAM}:role/payments-dev-instance")),
    Taking(
        "bot is not taken by a host of the same name in another account",
        "bot",
        somebody(f"{ELSEWHERE}:role/quarterdeck-dev-instance"),
    ),
    Taking("bot is not taken by EC2 itself", "bot", somebody("ec2.amazonaws.com", kind="Service")),
    Taking("bot is not taken by GitHub", "bot", GITHUB, BY_TOKEN, {f"{CLAIM}:aud": "sts.amazonaws.com"}),
    Taking("plan is taken by the bot", "plan", "bot", granted=True),
    Taking("plan is not taken by the team", "plan", "team"),
    Taking("plan is not taken by a host", "plan", "dev"),
    Taking("plan is not taken by who may everything", "plan", somebody(f"{IAM}:role/administrator")),
    Taking("apply is taken by the bot", "apply", "bot", granted=True),
    Taking("apply is not taken by the role of plan", "apply", "plan"),
    Taking("apply is not taken by the host that the bot runs on", "apply", "dev"),
    Taking("apply is not taken by the build role", "apply", "build"),
    Taking("apply is not taken by who may everything", "apply", somebody(f"{IAM}:role/administrator")),
    Taking("apply is not taken by a bot of another account", "apply", somebody(f"{ELSEWHERE}:role/quarterdeck-bot")),
    Taking("team is taken by a person who is named", "team", somebody(ADA), granted=True),
    Taking("team is not taken by somebody else", "team", somebody(GRACE)),
    Taking("team is not taken by the same name in another account", "team", somebody(f"{ELSEWHERE}:user/ada")),
    Taking("team is not taken by the bot", "team", "bot"),
    Taking("dev is taken by EC2", "dev", somebody("ec2.amazonaws.com", kind="Service"), granted=True),
    Taking("dev is not taken by Lambda", "dev", somebody("lambda.amazonaws.com", kind="Service")),
    Taking("dev is not taken by who may everything", "dev", somebody(f"arn:aws:iam::{ACCOUNT}:role/administrator")),
    Taking("dev is not taken by the bot", "dev", "bot"),
]

TAKINGS = [*BUILD_TAKINGS, *OTHER_TAKINGS]
