"""What the delivery slice listens to and does on time: its topics, subscriptions and timers, collected by the wiring."""

from backend.delivery import booking, service, tracking
from backend.delivery.planner import DELIVERY_BILL
from kernel.jobs import Job
from kernel.outbox import Delivery, Topic

# Ends of a case that bring no paper to send; a granted case is announced by its own event.
_NOTHING_TO_SEND = frozenset({"NOT_ACCEPTED", "REFUSED", "RETURNED", "WITHDRAWN", "VOID"})


async def on_granted(job: Delivery) -> None:
    """case.granted {case_no}"""
    await booking.note_granted(case_no=job.payload["case_no"], job=job)


async def on_bill_paid(job: Delivery) -> None:
    """bill.paid {bill_no, subject, kind}"""
    if job.payload.get("kind") == DELIVERY_BILL:
        await booking.note_paid(bill_no=job.payload["bill_no"], job=job)


async def on_case_ended(job: Delivery) -> None:
    """case.withdrawn {case_no, data_version} and case.refused {case_no, state}"""
    state = job.payload.get("state", "WITHDRAWN")
    if state in _NOTHING_TO_SEND:
        await booking.cancel_for_case(case_no=job.payload["case_no"], reason=state.lower(), job=job)


TOPICS: tuple[Topic, ...] = (
    Topic(name="delivery.granted", handler=on_granted, max_age_hours=168),
    Topic(name="delivery.bill_paid", handler=on_bill_paid, max_age_hours=168),
    Topic(name="delivery.case_ended", handler=on_case_ended, max_age_hours=168),
    Topic(name=booking.ORDER, handler=booking.place_order, max_age_hours=168, concurrency=4),
    Topic(name=booking.RECALL, handler=booking.recall, max_age_hours=168, concurrency=4),
    Topic(name=tracking.TRACK, handler=tracking.ask_carrier, max_age_hours=24, concurrency=4),
    Topic(name="inbox.ems", handler=tracking.handle_message, max_age_hours=168),
)

SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "case.granted": ("delivery.granted",),
    "bill.paid": ("delivery.bill_paid",),
    "case.withdrawn": ("delivery.case_ended",),
    "case.refused": ("delivery.case_ended",),
}

JOBS: tuple[Job, ...] = (
    Job(name="delivery.poll", every_seconds=60, run=tracking.poll, timeout_seconds=60),
    Job(name="delivery.sweep", every_seconds=3600, run=service.sweep, timeout_seconds=60),
)
