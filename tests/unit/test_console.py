"""The command line's small rooms: the environment file, who is asking, plain text for terminals, and the grammar."""

import fcntl
import os
import pwd
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.__main__ import main
from bot.console import environment
from bot.console.asking import agreed
from bot.console.errands import ERRANDS
from bot.console.exits import Exit
from bot.console.identity import os_users, person_of
from bot.console.paper import Paper
from bot.console.plain import legible, plain
from bot.errors import Misconfigured, Refused
from bot.logs import Redactor
from bot.people import People
from bot.ui.text import clean, escape, stamp

NOW = datetime(2026, 8, 1, 12, 9, tzinfo=UTC)
ME = pwd.getpwuid(os.getuid()).pw_name


def private(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secrets.env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# ---- the environment file ------------------------------------------------------------------------------------------


def test_an_environment_file_is_read_as_systemd_would(tmp_path):
    path = private(tmp_path, "# a comment\n; another\n\nA=1\nB='two words'\nexport C=\"x=y\"\nD=\n")
    assert environment.read(path) == {"A": "1", "B": "two words", "C": "x=y", "D": ""}


def test_an_environment_file_that_everybody_may_read_is_refused_with_the_mend(tmp_path):
    path = private(tmp_path, "A=1", mode=0o604)
    with pytest.raises(Misconfigured) as refused:
        environment.read(path)
    assert refused.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("line", ["s3cret alone", "=s3cret", "1A=s3cret", "A B=s3cret"])
def test_a_line_that_sets_nothing_is_refused_by_its_number_and_never_quoted(tmp_path, line):
    with pytest.raises(Misconfigured) as refused:
        environment.read(private(tmp_path, f"A=1\n{line}\n"))
    assert "line 2" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_an_environment_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="cannot be read"):
        environment.read(tmp_path / "nowhere.env")


# ---- who is asking -------------------------------------------------------------------------------------------------


def people() -> People:
    return People(accounts=[("ada", 1), ("sam", 2)], roles={"sre": 9}, duties={"ada": ("sre",)}, os_users={"al": "ada"})


def test_the_user_of_the_host_is_the_one_that_the_kernel_names(tmp_path):
    assert os_users(
        tmp_path, {"USER": "somebody", "LOGNAME": "somebody", "SUDO_USER": "somebody"}, own=os.getuid()
    ) == (ME,)


def test_sudo_is_believed_where_the_caller_could_write_the_rows_anyway(tmp_path):
    caller = next(user for user in pwd.getpwall() if user.pw_uid != os.getuid())
    assert os_users(tmp_path, {"SUDO_UID": str(caller.pw_uid)}, own=os.getuid())[0] == caller.pw_name
    assert os_users(tmp_path, {"SUDO_UID": "not a number"}, own=os.getuid()) == (ME,)


def test_sudo_is_not_believed_of_somebody_who_does_not_own_the_rows(tmp_path):
    other = next(user for user in pwd.getpwall() if user.pw_uid not in (0, os.getuid()))
    assert os_users(tmp_path, {"SUDO_UID": "0"}, own=other.pw_uid) == (other.pw_name,)


def test_the_configuration_says_which_person_a_user_is():
    assert person_of(people(), ("unmapped", "al")) == "ada"


def test_a_user_whom_the_configuration_does_not_name_is_refused_and_told_how_to_mend_it():
    with pytest.raises(Refused) as refused:
        person_of(people(), ("root",))
    assert "The user root of this host" in str(refused.value)
    assert 'os_user = "root"' in refused.value.hint


# ---- plain text ----------------------------------------------------------------------------------------------------


def test_markup_of_ours_goes_and_timestamps_are_written_out():
    text = f"**DEPLOY** · `a1` since {stamp(NOW - timedelta(minutes=6))}\n-# *live*"
    assert plain(text, NOW) == "DEPLOY · a1 since 6 min ago\nlive"


def test_a_moment_to_come_is_said_to_come():
    later = NOW + timedelta(minutes=6)
    assert plain(f"{stamp(later, 't')}, {stamp(later)}", NOW) == "2026-08-01 12:15 UTC, in 6 min"


@given(st.text(max_size=150))
def test_foreign_text_comes_out_of_the_chats_escapes_as_it_went_in(foreign):
    assert plain(escape(foreign), NOW) == clean(foreign)


@given(st.text())
def test_a_printed_line_holds_nothing_that_a_terminal_would_obey(foreign):
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200b\ufeff" for c in legible(foreign))


def test_nothing_is_printed_with_a_secret_in_it():
    out, err = StringIO(), StringIO()
    paper = Paper(Redactor(["hunter2-hunter2"]), as_json=False, out=out, err=err)
    paper.say("a hunter2-hunter2\x1b[2J")
    paper.complain("b hunter2-hunter2")
    paper.verbatim("c hunter2-hunter2\n")
    assert out.getvalue() == "a [redacted] [2J\nc [redacted]\n"
    assert err.getvalue() == "b [redacted]\n"


def test_json_goes_out_alone_and_what_is_said_beside_it():
    out, err = StringIO(), StringIO()
    paper = Paper(Redactor(["hunter2-hunter2"]), as_json=True, out=out, err=err)
    paper.say("an answer for people")
    paper.tell("a step")
    paper.record({"at": NOW, "roles": frozenset({"sre"}), "text": "\u202eevil hunter2-hunter2"})
    assert out.getvalue() == (
        '{"at": "2026-08-01T12:09:00+00:00", "roles": ["sre"], "text": "\\u202eevil [redacted]"}\n'
    )
    assert err.getvalue() == "a step\n"


# ---- asking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "yes"), [(b"y\n", True), (b"yes\n", True), (b"\n", False), (b"no\n", False), (b"\x03", False)]
)
def test_only_a_person_at_a_terminal_can_say_yes(typed, yes):
    asks = "from bot.console.asking import agreed; from bot.console.paper import Paper; from bot.logs import Redactor; "
    ours, theirs = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{asks} print('yes' if agreed(Paper(Redactor()), 'Go on?') else 'no')"],
            cwd=Path(__file__).parents[2],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_own_terminal,
        )
        assert process.stderr is not None
        assert b"Go on? [y/N]" in process.stderr.readline()
        os.write(ours, typed)
        out, err = process.communicate(timeout=30)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, out.decode().strip()) == (0, "yes" if yes else "no"), err
    assert (b"Nothing was done." in err) is not yes


def _own_terminal() -> None:
    """In the child: the terminal at its standard input is its own, so that Ctrl-C reaches it."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_without_a_terminal_nothing_is_taken_for_a_yes(monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO("y\n"))
    err = StringIO()
    assert not agreed(Paper(Redactor(), err=err), "Go on?")
    assert "--yes" in err.getvalue()


# ---- the grammar ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ERRANDS))
def test_every_command_has_help_with_all_exit_codes(name, capsys):
    assert main([*name.split(), "--help"]) == Exit.DONE
    said = capsys.readouterr().out
    assert "--config FILE" in said
    for code in Exit:
        assert f"{code.value:>2}  {code.meaning}" in said


@pytest.mark.parametrize(
    "words",
    [
        ["ops"],
        ["ops", "dance"],
        ["deploy", "--config", "x"],
        ["deploy", "app", "--config", "x", "--timeout", "soon"],
        ["ops", "show", "zero", "--config", "x"],
        ["ops", "show", "0", "--config", "x"],
        ["ops", "deny", "1", "--config", "x"],
        ["ops", "close", "1", "--config", "x", "--reason", "r", "--as", "succeeded"],
        ["audit", "--config", "x", "--format", "xml"],
        ["status"],
    ],
)
def test_what_makes_no_sense_exits_64_before_anything_is_read(words, capsys):
    assert main(words) == Exit.USAGE
    assert "usage:" in capsys.readouterr().err


def test_a_configuration_that_is_not_there_exits_64(tmp_path, capsys):
    for name in ("QUARTERDECK_DISCORD_TOKEN", "QUARTERDECK_GITHUB_TOKEN"):
        assert name not in os.environ
    assert main(["status", "--config", str(tmp_path / "none.toml")]) == Exit.USAGE
    assert "There is no configuration file" in capsys.readouterr().err


def test_the_readme_has_every_exit_code_with_the_same_meaning():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for code in Exit:
        assert f"| {code.value} | {code.meaning} |" in readme
