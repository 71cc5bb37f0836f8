"""Errors between client and collector.

The sender decides by type alone: it tries again after `Unreachable` and `NotAnAcknowledgement`, and
keeps the rows as dead letters after `Refused`. The names say what happened, so they carry no
"Error".
"""

from __future__ import annotations


class ClientError(Exception):
    """Base class of the errors below."""


class Unreachable(ClientError):
    """The collector did not answer, or said that it cannot answer now.

    Attributes:
        retry_after: Seconds after which the collector asked to be tried again, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotAnAcknowledgement(ClientError):
    """The answer is not a collector's: a redirect, a login page, counts that do not add up."""


class Refused(ClientError):
    """The collector understood and refused; it would refuse the same request again.

    Attributes:
        status: HTTP status, 400 to 499.
        detail: The collector's reason, for people.
        kind: The kind of the refusal in one word, or empty.
        expected_seq: With status 409, the sequence number that the collector waits for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        detail: str,
        kind: str = "",
        expected_seq: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.expected_seq = expected_seq
