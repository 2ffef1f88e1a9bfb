"""What a log line says, and what it never says."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from bot.logs import REDACTED, Redactor, bound, configure

DISCORD = "MTMyNTAwMDAwMDAwMDAwMDEwMA.GabcdE.abcdefghijklmnopqrstuvwxyz0123456789AB"
SANDBOX = "MTMyNTAwMDAwMDAwMDAwMDEwMA.SANDBX.abcdefghijklmnopqrstuvwxyz0123456789AB"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("info", Redactor(["hunter2-and-more"]), stream)
    yield stream
    root.handlers, root.level = handlers, level


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_what_is_bound_and_what_is_given(lines: io.StringIO) -> None:
    with bound(operation_id=184, actor="dev"):
        logging.getLogger("quarterdeck.test").info("started %s", "app", extra={"kind": "deploy"})
    logging.getLogger("quarterdeck.test").info("later")
    first, second = read(lines)
    assert first | {"at": ""} == {
        "at": "", "level": "info", "logger": "quarterdeck.test", "message": "started app",
        "operation_id": 184, "actor": "dev", "kind": "deploy",
    }  # fmt: skip
    assert "operation_id" not in second


async def test_what_is_bound_follows_a_task_and_leaves_others_alone(lines: io.StringIO) -> None:
    async def speak(number: int) -> None:
        with bound(operation_id=number):
            await asyncio.sleep(0)
            logging.getLogger("t").info("%s", number)

    await asyncio.gather(*(asyncio.create_task(speak(number)) for number in range(5)))
    assert all(str(line["operation_id"]) == line["message"] for line in read(lines))


def test_no_secret_reaches_a_line_by_any_way(lines: io.StringIO) -> None:
    log = logging.getLogger("t")
    with bound(token="hunter2-and-more"):
        log.info("password hunter2-and-more", extra={"note": ["hunter2-and-more"]})
    try:
        raise ValueError("hunter2-and-more")
    except ValueError:
        log.exception("broke")
    assert "hunter2" not in lines.getvalue()
    assert lines.getvalue().count(REDACTED) >= 4


@pytest.mark.parametrize("text", [
    DISCORD,
    SANDBOX,
    f"Authorization: Bot {DISCORD}",
    "Authorization: Basic dXNlcjpwYXNzd29yZA==",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE",
    "https://user:s3cret-pass@example.test/x",
    "/api/v10/webhooks/1325000000000000100/aW50ZXJhY3Rpb246MTIzNDU2Nzg5MDEyMzQ1Njc4OTA/messages",
    "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
])  # fmt: skip
def test_strings_of_a_secrets_shape_are_taken_out(text: str) -> None:
    cleaned = Redactor().clean(f"before {text} after")
    assert REDACTED in cleaned
    assert cleaned.startswith("before ")
    for part in ("abcdefghijklmno", "s3cret", "wJalr", "MIIEow", "IOSFODNN", "dXNlcjpwYXNz", "aW50ZXJhY3"):
        assert part not in cleaned


def test_ordinary_text_stays_as_it_is() -> None:
    text = (
        "Deploy 4f1c2a9 of app to prod: sha256:"
        + "ab" * 32
        + " at https://github.com/harbour-works/quarterdeck/actions/runs/1"
    )
    assert Redactor(["short", ""]).clean(text) == text


def test_a_secret_inside_a_longer_one_leaves_no_rest() -> None:
    assert Redactor(["secret", "secret-and-longer"]).clean("x secret-and-longer y") == f"x {REDACTED} y"
