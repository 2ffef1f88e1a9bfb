"""Looking for the trace of a request whose answer was lost: for how long, and over a restart."""

from bot.errors import Unavailable
from bot.services.patience import look_for
from tests.wire.deploy_room import Row, operation


class Service:
    """Answers what the test says, one after the other, and nothing found after that."""

    def __init__(self, *answers: str | Unavailable | None) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def find(self) -> str | None:
        self.asked += 1
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Unavailable):
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
    row, service = Row(operation()), Service(*(away() for _ in range(20)))
    assert await look_for(row, service.find, of="build", within_s=0) is None
    assert service.asked == 21


async def test_a_bot_that_is_restarted_goes_on_looking_where_it_left_off() -> None:
    before = Row(operation())
    assert await look_for(before, Service().find, of="build", within_s=1) is None
    again, service = before.after_a_crash(), Service()
    assert await look_for(again, service.find, of="build", within_s=2) is None
    assert service.asked == 2, "one second of the two is over already"
    another = Service("command 5")
    assert await look_for(again, another.find, of="rollout", within_s=2) == "command 5"
    assert await look_for(again, Service("run 7").find, of="build", within_s=2) == "run 7", "it is asked once at least"
