"""How clients tell whether their service answers. They know nothing of who listens, or of what it is used for."""

from typing import Protocol


class Hearing(Protocol):
    """Told after every request: the service answered (also with a refusal), or it did not, and why not."""

    def heard(self, part: str) -> None: ...

    def silent(self, part: str, why: str) -> None: ...


class Deaf:
    """For clients whose silence interests nobody."""

    def heard(self, part: str) -> None:
        pass

    def silent(self, part: str, why: str) -> None:
        pass


DEAF = Deaf()
