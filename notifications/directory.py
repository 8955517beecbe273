"""The port through which addresses of people are looked up; who they are stays the business of the owner of accounts."""

from dataclasses import dataclass, field
from typing import Protocol

from kernel import crypto


@dataclass(frozen=True)
class Addresses:
    """Where a person can be reached; None where they cannot."""

    openid: str | None = field(repr=False, default=None)
    phone: str | None = field(repr=False, default=None)


class Directory(Protocol):
    """Answers from our own database: it is asked inside transactions."""

    async def addresses(self, recipient_ref: str) -> Addresses:
        """What is known; empty Addresses for an unknown person."""
        ...


def index_of(openid: str) -> str:
    """The openid as the ledger of permissions knows it: WeChat's events carry the openid, never our reference."""
    return crypto.blind_index(openid, purpose="notifications.openid")
