"""The error tree. Clients translate foreign exceptions into it; nothing outside `clients/` sees a vendor's exception.

    QuarterdeckError
    |-- Refused          the user's world: policy, lock, stale plan, bad input. A sentence, no stack trace.
    |   `-- Misconfigured    the configuration; exit code 64 on the command line
    |-- Unavailable      an outside service did not do its part; may be tried again
    |   |-- Unreachable      no connection could be made: nothing was sent
    |   |-- NotVisible       the service answers, and what was named is not there
    |   |-- Undecided        the service answers, and what was asked is still being worked out there
    |   `-- Unknown          a request may or may not have been carried out
    `-- Broken           our own fault: logged with its traceback, the user sees a reference

A message says what happened, what did not happen, and what to do next.
"""


class QuarterdeckError(Exception):
    """Everything that this program raises on purpose. `str(error)` is a sentence fit for the person who asked."""


class Refused(QuarterdeckError):
    """The request cannot be granted as things stand. `hint` says what to do instead, `rule` which rule spoke."""

    def __init__(self, sentence: str, *, hint: str = "", rule: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint
        self.rule = rule


class Misconfigured(Refused):
    """The configuration cannot be used; nothing was started."""


class Unavailable(QuarterdeckError):
    """An outside service refused, failed or did not answer in time.

    `service` is the part's short name (`github`, `aws`, `discord`, `database`), `status` its HTTP status if it gave
    one, `retry_after_s` the seconds that it asked us to wait.
    """

    def __init__(
        self, service: str, sentence: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.service = service
        self.status = status
        self.retry_after_s = retry_after_s


class Unreachable(Unavailable):
    """No connection could be made, so the request was certainly not carried out."""


class NotVisible(Unavailable):
    """The service answered: there is no such thing, or not for us (404)."""


class Undecided(Unavailable):
    """The service answered: it is still at work on what was asked, such as checks that run."""


class Unknown(Unavailable):
    """A request that changes something got no usable answer: it may have been carried out. Never sent a second time."""


class Broken(QuarterdeckError):
    """A fault of this program; `reference` finds the traceback in the log."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Something broke inside Quarterdeck (reference {reference}). Nothing more was done.")
        self.reference = reference
