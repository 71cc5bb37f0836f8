"""What can go wrong between client and collector.

The sender decides by type alone: it tries again after `Unreachable` and `NotAnAcknowledgement`, and
sets the data aside after `Refused`. The names say what happened, so they carry no "Error".
"""

from __future__ import annotations


class ClientError(Exception):
    """Root of the errors below."""


class Unreachable(ClientError):
    """The collector gave no answer, or said that it cannot answer now.

    Attributes:
        retry_after: Seconds that the collector asked to be left alone, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotAnAcknowledgement(ClientError):
    """An answer that is no collector's: a redirect, a login page, counts that do not add up."""


class Refused(ClientError):
    """The collector understood and said no; the same request would be refused again.

    Attributes:
        status: HTTP status, 400 to 499.
        detail: The collector's reason, for people.
        expected_seq: With status 409, the sequence number that the collector waits for.
    """

    def __init__(
        self, message: str, *, status: int, detail: str, expected_seq: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.expected_seq = expected_seq
