"""What the one-window slice does when something happened elsewhere, and its recurring work."""

from backend.onewindow import feedback, forwarding, inbound, pulling, retention
from backend.onewindow.forwarding import Order
from backend.onewindow.messages import DELIVERY, PUSH, SUPPLEMENT, WITHDRAW
from kernel.jobs import Job
from kernel.outbox import Delivery, Handler, Topic

# Messages give up by their own age (ONEWINDOW_GIVE_UP_HOURS); the outbox must not be faster.
_MAX_AGE_HOURS = 24 * 31
# A first push fetches a number, uploads every photo and pushes the case.
_SEND_SECONDS = 180


async def forward(delivery: Delivery) -> None:
    """case.ready: the whole case goes out."""
    await _versioned(delivery, PUSH)


async def supplement(delivery: Delivery) -> None:
    """case.corrected: the answer to a correction goes out."""
    await _versioned(delivery, SUPPLEMENT)


async def withdraw(delivery: Delivery) -> None:
    """case.withdrawn: the platform stops working on it."""
    await _versioned(delivery, WITHDRAW)


async def _versioned(delivery: Delivery, verb: str) -> None:
    case_no, version = delivery.payload["case_no"], delivery.payload["data_version"]
    await forwarding.forward(delivery, Order(case_no=case_no, verb=verb, subject=f"v{version}", data_version=version))


async def tell_parcel(delivery: Delivery) -> None:
    """parcel.moved, parcel.delivered: the platform learns where the result is."""
    # The event's own number: a second failed attempt is news again.
    subject = f"{delivery.payload['delivery_no']}:{delivery.key.rpartition(':')[2]}"[:64]
    await forwarding.forward(delivery, Order(case_no=delivery.payload["case_no"], verb=DELIVERY, subject=subject))


def _sending(name: str, handler: Handler) -> Topic:
    return Topic(name=name, handler=handler, max_age_hours=_MAX_AGE_HOURS, timeout_seconds=_SEND_SECONDS)


TOPICS: tuple[Topic, ...] = (
    _sending("onewindow.forward", forward),
    _sending("onewindow.supplement", supplement),
    _sending("onewindow.withdraw", withdraw),
    _sending("onewindow.delivery", tell_parcel),
    _sending(forwarding.RESEND_TOPIC, forwarding.resume),
    Topic(name=f"inbox.{inbound.PARTNER}", handler=inbound.handle, max_age_hours=_MAX_AGE_HOURS),
    Topic(
        name=inbound.APPLY_TOPIC,
        handler=feedback.apply_events,
        max_age_hours=_MAX_AGE_HOURS,
        timeout_seconds=_SEND_SECONDS,
    ),
)
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "case.ready": ("onewindow.forward",),
    "case.corrected": ("onewindow.supplement",),
    "case.withdrawn": ("onewindow.withdraw",),
    "parcel.moved": ("onewindow.delivery",),
    "parcel.delivered": ("onewindow.delivery",),
}
JOBS: tuple[Job, ...] = (
    Job(name="onewindow.pull", every_seconds=300, run=pulling.safety_net, timeout_seconds=120),
    Job(name="onewindow.sweep", every_seconds=600, run=retention.sweep, timeout_seconds=60),
)
