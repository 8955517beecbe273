"""Differences: what settlement found and a person or a job must finish, security findings included. Rows are never deleted here."""

from datetime import date

import structlog

from kernel import metrics
from payments.gateways.base import Evidence
from payments.gateways.refund_port import RefundEvidence
from payments.models import Attempt, Difference, Refund

log = structlog.get_logger(__name__)

_FOUND = metrics.counter("payments_differences", "Differences found, by class", "class_name")
FOREIGN_MERCHANT = "SECURITY_FOREIGN_MERCHANT"
STUCK = "ATTEMPT_STUCK"
CHANNEL_ONLY = "CHANNEL_ONLY"  # 长款: they have money, we have no row
REFUND_CHANNEL_ONLY = "REFUND_CHANNEL_ONLY"
REFUND_AMOUNT = "REFUND_AMOUNT"
REFUND_OTHER_PAYMENT = "SECURITY_REFUND_OTHER_PAYMENT"
REFUND_UNASKED = "SECURITY_REFUND_UNASKED"
REFUND_CORRECTED = "REFUND_STATUS_OURS_FAILED"
REFUND_TWICE = "REFUND_TWICE"
REFUND_STUCK = "REFUND_STUCK"


def count(class_name: str, number: int) -> None:
    """Counts differences that were written by somebody else's statement."""
    _FOUND.labels(class_name).inc(number)


async def record(
    class_name: str,
    key: str,
    *,
    detail: str,
    channel: str = "",
    attempt: Attempt | None = None,
    bill_no: str | None = None,
    payment_no: str | None = None,
    ours_fen: int | None = None,
    theirs_fen: int | None = None,
    state: str = "open",
    day_on: date | None = None,
) -> None:
    """Writes a difference once per class and key, and raises the alarm the first time."""
    row = Difference(
        class_name=class_name,
        key=key[:120],
        channel=attempt.channel if attempt else channel,
        payment_no=attempt.payment_no if attempt else payment_no,
        bill_no=bill_no,
        ours_fen=attempt.amount_fen if attempt else ours_fen,
        theirs_fen=theirs_fen,
        detail=detail[:200],
        state=state,
        day_on=day_on,
    )
    if not await known(class_name, row.key):
        await _write(row)


async def _write(row: Difference) -> None:
    await Difference.bulk_create([row], ignore_conflicts=True)
    _FOUND.labels(row.class_name).inc()
    log.warning(
        "payments.difference", class_name=row.class_name, key=row.key, payment_no=row.payment_no, state=row.state
    )


async def record_refund(
    class_name: str,
    refund: Refund,
    attempt: Attempt,
    *,
    detail: str,
    theirs_fen: int | None = None,
    state: str = "open",
) -> None:
    """A difference about a refund, once per class and refund."""
    if await known(class_name, refund.refund_no):
        return
    row = Difference(
        class_name=class_name, key=refund.refund_no, channel=refund.channel, payment_no=attempt.payment_no,
        ours_fen=refund.amount_fen, theirs_fen=theirs_fen, detail=detail[:200], state=state,
    )  # fmt: skip
    await _write(row)


async def record_refund_channel_only(evidence: RefundEvidence) -> None:
    """A refund under a number we never made: somebody made it by hand on the merchant site."""
    await record(
        REFUND_CHANNEL_ONLY, f"{evidence.channel}:{evidence.refund_no}", channel=evidence.channel,
        payment_no=evidence.payment_no, theirs_fen=evidence.amount_fen,
        detail="渠道有一笔本系统没有发起的退款，请用 refund adopt 命令登记",
    )  # fmt: skip


async def known(class_name: str, key: str) -> bool:
    """Whether this difference was written down before."""
    return await Difference.filter(class_name=class_name, key=key).exists()


async def resolve(class_name: str, key: str, *, resolution: str, by: str) -> None:
    """Ends an open difference; the row stays."""
    await Difference.filter(class_name=class_name, key=key, state="open").update(
        state="resolved", resolution=resolution[:200], resolved_by=by[:64]
    )


async def record_foreign(evidence: Evidence | RefundEvidence) -> None:
    """A verified statement about another merchant or another app: nothing of ours moves, somebody must look."""
    await record(
        FOREIGN_MERCHANT, evidence.source_id, channel=evidence.channel, payment_no=evidence.payment_no,
        theirs_fen=evidence.amount_fen, detail="渠道消息属于别的商户或应用",
    )  # fmt: skip


async def record_channel_only(evidence: Evidence) -> None:
    """Our merchant received money under a number we never made."""
    await record(
        CHANNEL_ONLY, f"{evidence.channel}:{evidence.channel_txn_id}", channel=evidence.channel,
        payment_no=evidence.payment_no, theirs_fen=evidence.amount_fen, detail="渠道有这笔钱，本系统没有这个支付单",
    )  # fmt: skip
