"""What every channel offers to the delivery: getting ready inside a transaction, and one call outside of any."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from notifications.states import DeliveryAction


@dataclass(frozen=True)
class Letter:
    """A message as a channel sees it; `values` are written out."""

    message_no: str
    recipient_ref: str
    template: str
    values: Mapping[str, str] = field(repr=False)
    page: str


@dataclass(frozen=True)
class Ready:
    """Everything the call needs. The index and the template id stay on the row, so that a receipt can find it again."""

    address: str = field(repr=False)
    address_index: str
    template_id: str
    holds_quota: bool
    arguments: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Skip:
    """This channel cannot carry the letter; the next one is used."""

    action: DeliveryAction
    note: str


@dataclass(frozen=True)
class Outcome:
    """What the call came to. RETRY needs a time; `quota_gone` means the person's allowance is used up at the partner."""

    action: DeliveryAction
    code: int | None = None
    note: str | None = None
    retry_seconds: float | None = None
    quota_gone: bool = False


class Channel(Protocol):
    """One way to a person."""

    name: str

    async def prepare(self, letter: Letter) -> Ready | Skip:
        """Runs in the transaction that marks the letter as being sent; may reserve."""
        ...

    async def send(self, ready: Ready) -> Outcome:
        """The one call, outside any transaction. Never raises for the partner's trouble."""
        ...
