"""Looking for the trace of a request whose answer was lost: for how long, and over a restart."""

import pytest

from bot.errors import Unavailable
from bot.services.patience import look_for
from tests.wire.deploy_room import Row, operation


class Killed(Exception):
    """The program is gone."""


class Service:
    """Answers what the test says, one after the other, and nothing found after that."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def find(self) -> str | None:
        self.asked += 1
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


def away() -> Unavailable:
    return Unavailable("github", "GitHub does not answer.", retry_after_s=0.01)


async def test_what_shows_late_is_found_and_the_card_says_meanwhile_what_is_not_known() -> None:
    row, service = Row(operation()), Service(None, "run 7")
    assert await look_for(row, service.find, of="build") == "run 7"
    assert row.waits == ["Whether the request before was carried out is not known: looking for its trace."]
    assert row.operation.waiting_for == ""


async def test_a_time_without_answers_does_not_count() -> None:
    row, service = Row(operation()), Service(*(away() for _ in range(200)), None, "run 7")
    assert await look_for(row, service.find, of="build", within_s=1) == "run 7"
    assert service.asked == 202


async def test_a_bot_that_is_restarted_goes_on_looking_where_it_left_off() -> None:
    before = Row(operation())
    with pytest.raises(Killed):
        await look_for(before, Service(None, Killed()).find, of="build", within_s=2)
    another = Service(None, None, "command 5")
    assert await look_for(before.after_a_crash(), another.find, of="rollout", within_s=2) == "command 5"
    service = Service()
    assert await look_for(before.after_a_crash(), service.find, of="build", within_s=2) is None
    assert service.asked == 2, "one second of the two was over already"


async def test_whoever_is_asked_to_look_again_has_the_whole_time_anew() -> None:
    row = Row(operation())
    assert await look_for(row, Service().find, of="build", within_s=1) is None
    again = Service(None, "run 7")
    assert await look_for(row, again.find, of="build", within_s=1) == "run 7"
