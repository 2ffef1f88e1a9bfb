"""How AWS judges a request by policies in JSON: identity policies, a permissions boundary and a role's trust policy.

It follows the IAM User Guide ("Policy evaluation logic", "IAM JSON policy elements", "Condition operators", 2026) for
requests inside one account, without service control policies and session policies. What it does not know it refuses to
judge (`NotUnderstood`): an element, operator or form that is passed over in silence would make a policy look stricter
or wider than it is.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Any

ELEMENTS = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
VARIABLE = re.compile(r"\$\{([^}]*)\}")
SPECIAL = {"*": "*", "?": "?", "$": "$"}
"""`${*}`, `${?}` and `${$}` stand for the characters themselves."""

Value = str | bool | Sequence[str]
Context = Mapping[str, Value]


class NotUnderstood(ValueError):
    """The policy or the request holds something that is not judged here."""


class Verdict(StrEnum):
    """What became of a request. Both refusals are refusals; only `DENIED` stands whatever else allows it."""

    ALLOWED = "allowed"
    DENIED = "denied by a statement"
    NOT_ALLOWED = "not allowed by any statement"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and, where one statement made it, that statement's Sid."""

    verdict: Verdict
    by: str = ""

    @property
    def allowed(self) -> bool:
        return self.verdict is Verdict.ALLOWED


@dataclass(frozen=True, slots=True)
class Request:
    """One action on one resource. `context` holds the condition keys that AWS would know, single or several values."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)

    def values(self, key: str) -> tuple[str, ...] | None:
        """The values of a condition key, whose case does not matter; None: the request does not carry it."""
        for name, value in self.context.items():
            if name.lower() == key.lower():
                if isinstance(value, bool):
                    return (str(value).lower(),)
                return (value,) if isinstance(value, str) else tuple(value)
        return None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, whose form was checked."""

    sid: str
    effect: str
    elements: Mapping[str, Any]

    def speaks_of(self, request: Request) -> bool:
        """Whether action, resource and every condition fit; principals are `Trust`'s to look at."""
        return self._action_fits(request) and self._resource_fits(request) and self._conditions_fit(request)

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions or patterns that it names; none when it speaks of all others (NotAction)."""
        return tuple(_listed(self.elements.get("Action", [])))

    def _action_fits(self, request: Request) -> bool:
        negated = "NotAction" in self.elements
        patterns = _listed(self.elements["NotAction" if negated else "Action"])
        return negated is not any(_glob(p.lower(), request.action.lower()) for p in patterns)

    def _resource_fits(self, request: Request) -> bool:
        if "Principal" in self.elements:  # a trust policy is about the one role that it belongs to
            return True
        negated = "NotResource" in self.elements
        patterns = _listed(self.elements["NotResource" if negated else "Resource"])
        return negated is not any(_like(p, request.resource, request) for p in patterns)

    def _conditions_fit(self, request: Request) -> bool:
        return all(
            _condition_fits(operator, key, _listed(wanted), request)
            for operator, keys in self.elements.get("Condition", {}).items()
            for key, wanted in keys.items()
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document."""

    statements: tuple[Statement, ...]

    @classmethod
    def of(cls, document: str | Mapping[str, Any]) -> "Policy":
        """Read a policy.

        Raises:
            NotUnderstood: it holds something that is not judged here.
        """
        read = json.loads(document) if isinstance(document, str) else document
        if read.get("Version") != "2012-10-17" or set(read) - {"Version", "Id", "Statement"}:
            raise NotUnderstood("Only policies of the version 2012-10-17 are judged: older ones know no variables.")
        listed = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
        return cls(tuple(_statement(one, at) for at, one in enumerate(listed)))

    def first(self, effect: str, request: Request) -> Statement | None:
        """The first statement of that effect that speaks of the request."""
        return next((one for one in self.statements if one.effect == effect and one.speaks_of(request)), None)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, with what AWS weighs for them. `kind` is the key of a Principal element: AWS, Service or Federated."""

    arn: str
    policies: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    kind: str = "AWS"

    @property
    def account(self) -> str:
        return self.arn.split(":")[4] if self.kind == "AWS" else ""

    def may(self, request: Request) -> Decision:
        """Judge a request by the identity policies and the boundary: any Deny, then an Allow in both."""
        bounds = (self.boundary,) if self.boundary else ()
        for policy in (*self.policies, *bounds):
            if denied := policy.first("Deny", request):
                return Decision(Verdict.DENIED, denied.sid)
        allowed = next(filter(None, (policy.first("Allow", request) for policy in self.policies)), None)
        if allowed is None or (self.boundary and self.boundary.first("Allow", request) is None):
            return Decision(Verdict.NOT_ALLOWED)
        return Decision(Verdict.ALLOWED, allowed.sid)


@dataclass(frozen=True, slots=True)
class Trust:
    """A role with its trust policy."""

    role_arn: str
    policy: Policy

    def lets(self, caller: Principal, action: str = "sts:AssumeRole", context: Context | None = None) -> Decision:
        """Judge whether the caller gets the role.

        A trust policy that names the caller itself is enough within the account; one that names the account leaves it
        to the caller's own policies. From another account both are needed. A Deny counts wherever it stands.
        """
        own_key = {"aws:PrincipalArn": caller.arn} if caller.kind == "AWS" else {}
        request = Request(action, self.role_arn, {**own_key, **(context or {})})
        asked = [one for one in self.policy.statements if one.speaks_of(request)]
        naming = [(one, _named(one.elements["Principal"], caller)) for one in asked]
        if denied := next((one for one, how in naming if how and one.effect == "Deny"), None):
            return Decision(Verdict.DENIED, denied.sid)
        allowing = [(one, how) for one, how in naming if how and one.effect == "Allow"]
        if not allowing:
            return Decision(Verdict.NOT_ALLOWED)
        statement, how = next((pair for pair in allowing if pair[1] == "itself"), allowing[0])
        if caller.kind == "AWS":
            own = caller.may(request)
            at_home = caller.account == self.role_arn.split(":")[4]
            if own.verdict is Verdict.DENIED or not (own.allowed or (how == "itself" and at_home)):
                return own
        return Decision(Verdict.ALLOWED, statement.sid)


def _statement(one: Mapping[str, Any], at: int) -> Statement:
    if strange := set(one) - ELEMENTS:
        raise NotUnderstood(f"Statement {at} has elements that are not judged here: {', '.join(sorted(strange))}.")
    if one.get("Effect") not in ("Allow", "Deny"):
        raise NotUnderstood(f"Statement {at} has no effect.")
    if ("Action" in one) == ("NotAction" in one):
        raise NotUnderstood(f"Statement {at} needs either Action or NotAction.")
    if ("Resource" in one) + ("NotResource" in one) != ("Principal" not in one):
        raise NotUnderstood(f"Statement {at} needs one of Resource, NotResource and, in a trust policy, Principal.")
    for operator in one.get("Condition", {}):
        _read_operator(operator)
    return Statement(str(one.get("Sid", at)), one["Effect"], one)


def _named(principal: Any, caller: Principal) -> str:
    """How a Principal element names the caller: `itself`, `account`, or not at all (empty)."""
    if principal == "*":
        return "account"
    for name in _listed(principal.get(caller.kind, [])):
        if name == "*":
            return "account"
        if "*" in name or "?" in name:
            raise NotUnderstood(f"AWS takes no wildcard within a principal: {name}.")
        if name == caller.arn:
            return "itself"
        if caller.kind == "AWS" and name in (caller.account, f"arn:aws:iam::{caller.account}:root"):
            return "account"
    return ""


# --- patterns ---------------------------------------------------------------------------------------------------------


def _listed(value: Any) -> list[str]:
    several = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in several]


def _glob(pattern: str, text: str) -> bool:
    """Whether a pattern with * and ? and no variables fits; * also stands for colons and slashes."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _like(pattern: str, text: str, request: Request) -> bool:
    """The same for a pattern that may hold variables: what comes out of a variable is text and never a wildcard."""
    parts: list[str] = []
    for at, part in enumerate(VARIABLE.split(pattern)):
        if at % 2 == 0:
            parts += [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in part]
        elif (value := _value_of(part, request)) is None:
            return False
        else:
            parts.append(re.escape(value))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _exactly(wanted: str, text: str, request: Request) -> bool:
    parts = [part if at % 2 == 0 else _value_of(part, request) for at, part in enumerate(VARIABLE.split(wanted))]
    return None not in parts and "".join(part or "" for part in parts) == text


def _value_of(variable: str, request: Request) -> str | None:
    """The text that a variable stands for; None: the request does not know it, and the statement does not fit."""
    if variable in SPECIAL:
        return SPECIAL[variable]
    name, comma, default = variable.partition(",")
    values = request.values(name.strip())
    if values is None:
        return default.strip().strip("'") if comma else None
    if len(values) != 1:
        raise NotUnderstood(f"The variable {name} has {len(values)} values.")
    return values[0]


def _arn_like(pattern: str, text: str, _: Request) -> bool:
    """ARNs are compared part by part: a wildcard does not cross the first five colons."""
    if VARIABLE.search(pattern):
        raise NotUnderstood(f"A variable within an ARN condition is not judged here: {pattern}.")
    wanted, given = pattern.split(":", 5), text.split(":", 5)
    return len(wanted) == len(given) == 6 and all(map(_glob, wanted, given))


# --- conditions -------------------------------------------------------------------------------------------------------

Test = Callable[[str, str, Request], bool]


def _number(test: Callable[[float, float], bool]) -> Test:
    return lambda wanted, given, _: test(float(given), float(wanted))


TESTS: Mapping[str, Test] = {
    "StringEquals": _exactly,
    "StringEqualsIgnoreCase": lambda wanted, given, request: _exactly(wanted.lower(), given.lower(), request),
    "StringLike": _like,
    "ArnLike": _arn_like,
    "ArnEquals": _arn_like,  # AWS: "ArnEquals and ArnLike behave identically"
    "Bool": lambda wanted, given, _: wanted.lower() == given.lower(),
    "NumericEquals": _number(lambda given, wanted: given == wanted),
    "NumericLessThan": _number(lambda given, wanted: given < wanted),
    "NumericLessThanEquals": _number(lambda given, wanted: given <= wanted),
    "NumericGreaterThan": _number(lambda given, wanted: given > wanted),
    "NumericGreaterThanEquals": _number(lambda given, wanted: given >= wanted),
    "IpAddress": lambda wanted, given, _: ip_address(given) in ip_network(wanted),
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotLike": "ArnLike",
    "ArnNotEquals": "ArnEquals",
    "NumericNotEquals": "NumericEquals",
    "NotIpAddress": "IpAddress",
}
QUALIFIERS = ("ForAllValues:", "ForAnyValue:")


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator taken apart: `ForAllValues:StringNotLikeIfExists` and its like."""

    test: Test
    negated: bool
    if_exists: bool
    qualifier: str


def _read_operator(text: str) -> Operator | None:
    """The operator; None: it is Null, which asks for presence only."""
    if text == "Null":
        return None
    qualifier = next((one for one in QUALIFIERS if text.startswith(one)), "")
    name = text.removeprefix(qualifier)
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name not in TESTS and name not in NEGATED:
        raise NotUnderstood(f"The condition operator {text} is not judged here.")
    return Operator(TESTS[NEGATED.get(name, name)], name in NEGATED, if_exists, qualifier)


def _condition_fits(text: str, key: str, wanted: list[str], request: Request) -> bool:
    operator, given = _read_operator(text), request.values(key)
    if operator is None:
        return any((given is None) is (one == "true") for one in wanted)
    if not given:
        return _fits_without(operator)
    if operator.qualifier == "" and len(given) > 1:
        raise NotUnderstood(f"{key} has several values: {text} needs ForAllValues or ForAnyValue.")
    fitting = _each(operator, wanted, given, request)
    return any(fitting) if operator.qualifier == "ForAnyValue:" else all(fitting)


def _fits_without(operator: Operator) -> bool:
    """Whether a condition holds for a request that does not carry its key."""
    if operator.qualifier:
        return operator.qualifier == "ForAllValues:" or operator.if_exists
    return operator.negated or operator.if_exists


def _each(operator: Operator, wanted: list[str], given: tuple[str, ...], request: Request) -> Iterator[bool]:
    """For each value of the request, whether it is one of the wanted (or, negated, none of them)."""
    for value in given:
        yield operator.negated is not any(operator.test(one, value, request) for one in wanted)
