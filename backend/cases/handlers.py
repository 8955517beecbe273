"""Reactions of the cases slice: to payments, and its own timers."""

from backend.cases import corrections, materials, readiness, steps, uploads
from backend.catalog import queries as catalog
from kernel import db
from kernel.jobs import Job
from kernel.outbox import Delivery, Topic

BILL_PAID = "cases.bill_paid"
_SUBJECT = "case:"


async def on_bill_paid(delivery: Delivery) -> None:
    """A bill of a case was paid: forward the case if nothing else is outstanding.

    Bills of other subjects are none of ours.
    """
    subject = str(delivery.payload["subject"])
    if not subject.startswith(_SUBJECT):
        return
    async with db.transaction():
        case = await steps.locked(case_no=subject.removeprefix(_SUBJECT))
        await readiness.announce_if_ready(case, await catalog.version(case.item_version_id))
        await delivery.finish()


async def sweep() -> None:
    """Forget unfinished uploads and files that no case uses."""
    await uploads.sweep()
    await materials.sweep()


TOPICS: tuple[Topic, ...] = (Topic(name=BILL_PAID, handler=on_bill_paid, max_age_hours=168),)
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {"bill.paid": (BILL_PAID,)}
JOBS: tuple[Job, ...] = (
    Job(name="cases.expire_corrections", every_seconds=600, run=corrections.expire_due, timeout_seconds=120),
    Job(name="cases.sweep_files", every_seconds=900, run=sweep, timeout_seconds=120),
)
