"""What is wrong with an answer as a whole, in words; the reader adds where it came from."""

from __future__ import annotations


class UnreadableAnswerError(ValueError):
    """An answer is not what a reader can take, and would not be if it were sent again."""


class DamagedAnswerError(UnreadableAnswerError):
    """An answer is cut off, empty, or something in between sent another one: asking again may heal it."""


class NotReadyAnswerError(UnreadableAnswerError):
    """The server has accepted the request, and has no records yet."""


class TooLargeAnswerError(UnreadableAnswerError):
    """An answer has more bytes than the config allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {limit // 1_000_000} MB")
