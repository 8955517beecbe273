"""The in-app inbox: the message row is the delivery. It needs no partner and always works, so it is written with the message."""

from kernel import clock
from notifications.models import Delivery, Message
from notifications.states import DeliveryState

NAME = "inbox"


async def deposit(message: Message) -> None:
    """Records in the message's own transaction that it lies in the app."""
    await Delivery.create(message=message, channel=NAME, state=DeliveryState.DELIVERED, changed_at=clock.now())
