"""What the worker runs for payments: topics, subscriptions and timers. The work itself is in notices and janitor."""

from kernel.jobs import Job
from kernel.outbox import Topic
from payments import certificates, janitor, notices, receipts, reconciliation, refund_janitor

# The inboxes of the channels this product can be configured with.
_PARTNERS = ("wechat-pay", "alipay", "unified-pay")

TOPICS: tuple[Topic, ...] = (
    *(
        # Money is never given up for its age within the week in which a person will look at the dead list.
        Topic(
            name=f"inbox.{partner}",
            handler=notices.handle,
            max_age_hours=7 * 24,
            timeout_seconds=15,
            backoff_cap_seconds=300,
        )
        for partner in _PARTNERS
    ),
    *(
        # A paid bill without its receipt, and a refund without its reversal, are tried for a week; the difference stays after it.
        Topic(name=name, handler=handler, max_age_hours=7 * 24, timeout_seconds=40, backoff_cap_seconds=3600)
        for name, handler in ((receipts.ISSUE_TOPIC, receipts.issue), (receipts.REVERSE_TOPIC, receipts.reverse))
    ),
    Topic(
        name=certificates.REFRESH_TOPIC,
        handler=janitor.refresh_keys_of,
        max_age_hours=1,
        timeout_seconds=20,
        concurrency=1,
    ),
)

SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {}

JOBS: tuple[Job, ...] = (
    Job(name="payments.check_attempts", every_seconds=5, run=janitor.check_attempts, timeout_seconds=60),
    Job(name="payments.check_refunds", every_seconds=5, run=refund_janitor.check_refunds, timeout_seconds=60),
    Job(name="payments.expire_bills", every_seconds=60, run=janitor.expire_bills, timeout_seconds=60),
    Job(name="payments.refresh_keys", every_seconds=12 * 3600, run=janitor.refresh_keys, timeout_seconds=60),
    Job(name="payments.check_ledger", every_seconds=24 * 3600, run=janitor.check_ledger, timeout_seconds=600),
    # The channels' hours are theirs; every ten minutes it is only asked whether a day is due.
    Job(name="payments.reconcile", every_seconds=600, run=reconciliation.run_due, timeout_seconds=3600),
)
