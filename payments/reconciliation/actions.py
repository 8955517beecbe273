"""The first action on what was found, before a person sees it: ask the channel, and let the one door for evidence decide."""

import asyncio
from datetime import date, timedelta

import structlog

from kernel import clock, db
from kernel.problems import DatabaseUnavailable
from payments import differences, runtime, settlement
from payments.gateways.base import Evidence, EvidenceKind, Order, Outcome
from payments.models import Attempt, Difference
from payments.reconciliation import refund_actions
from payments.reconciliation.findings import CARRY_DAYS, conclude
from payments.reconciliation.models import ReconLine
from payments.reconciliation.states import DifferenceState
from payments.states import SETTLED

log = structlog.get_logger(__name__)

_CHUNK = 8
_ASKED = ("CHANNEL_ONLY", "STATUS_OURS_UNPAID", "SECOND_TRANSACTION", *refund_actions.CLASSES)
_NOT_THERE = (Outcome.NOTPAY, Outcome.CLOSED, Outcome.NOT_FOUND)


async def act(channel: str) -> int:
    """Works every open difference of a channel that no action has concluded yet; answers how many it concluded."""
    done, last = 0, 0
    while True:
        rows = (
            await Difference.filter(
                channel=channel, class_name__in=_ASKED, state=DifferenceState.OPEN, acted_at=None, day_on__not_isnull=True, id__gt=last
            )
            .order_by("id")
            .limit(_CHUNK)
        )  # fmt: skip
        if not rows:
            return done
        last = rows[-1].id
        concluded = await asyncio.gather(*(_tried(row) for row in rows))
        done += sum(concluded)
        if len(rows) == _CHUNK and not any(concluded):
            log.warning("payments.reconciliation_channel_silent", channel=channel)
            return done


async def end_carrying(channel: str, compared: date) -> None:
    """After a day's files are compared: what was carried through that many days is asked about once, and then is an alarm."""
    limit = compared - timedelta(days=CARRY_DAYS)
    rows = await Difference.filter(channel=channel, state=DifferenceState.CARRIED, day_on__lte=limit).order_by("id")
    for row in rows:
        proven_unpaid = row.class_name == "LOCAL_ONLY" and await _proven_unpaid(row)
        if proven_unpaid:
            await differences.record(
                "STATUS_OURS_PAID_THEIRS_NOT", row.key, channel=channel, payment_no=row.payment_no, ours_fen=row.ours_fen,
                detail="渠道查询和三日账单都没有这笔钱", day_on=row.day_on,
            )  # fmt: skip
        await db.execute(
            "UPDATE payments_difference SET state = ?, acted_at = ?, resolution = ? WHERE id = ? AND state = 'carried'",
            str(DifferenceState.AUTO_FIXED if proven_unpaid else DifferenceState.OPEN), db.at(clock.now()),
            "渠道否认收款，转为“我方已付、渠道未付”" if proven_unpaid else None, row.id,
        )  # fmt: skip
        log.error(
            "payments.difference_not_explained", class_name=row.class_name, payment_no=row.payment_no, channel=channel
        )


async def _tried(row: Difference) -> bool:
    try:
        return await _act(row)
    except DatabaseUnavailable:
        raise
    except Exception:  # one broken difference must not keep the others from being worked
        log.exception("payments.reconciliation_action_failed", class_name=row.class_name, payment_no=row.payment_no)
        return False


async def _act(row: Difference) -> bool:
    if row.class_name in refund_actions.CLASSES:
        return await refund_actions.act(row)
    attempt = await Attempt.filter(channel=row.channel, payment_no=row.payment_no).first() if row.payment_no else None
    asks = row.payment_no is not None and row.class_name != "SECOND_TRANSACTION"
    evidence = await _asked(row, attempt) if asks else await _line(row)
    if evidence is None or evidence.outcome is Outcome.NO_REPLY:
        return False
    await settlement.apply_evidence(evidence)
    await _conclude(row, evidence)
    return True


async def _asked(row: Difference, attempt: Attempt | None) -> Evidence:
    """What the channel says now. An order we never made is asked about by its number alone."""
    order = Order(
        payment_no=row.payment_no or "",
        product=attempt.product if attempt else "",
        amount_fen=attempt.amount_fen if attempt else row.theirs_fen or 0,
        currency=attempt.currency if attempt else "CNY",
        body=b"",
    )
    return await runtime.gateway(row.channel).query(order)


async def _line(row: Difference) -> Evidence | None:
    """The line of the proven file itself: money that a question by our number cannot find."""
    txn = row.key.rpartition(":")[2]
    line = (
        await ReconLine.filter(
            run__channel=row.channel, run__day_on=row.day_on, class_name=row.class_name, channel_txn_id=txn
        )
        .prefetch_related("run")
        .first()
    )
    if line is None:
        return None
    return Evidence(
        kind=EvidenceKind.BILL_LINE,
        channel=row.channel,
        payment_no=row.payment_no or txn,
        outcome=Outcome.PAID,
        observed_at=clock.now(),
        source_id=f"{row.channel}:{txn}",
        raw_ref=f"statement:{line.run.day_on.isoformat()}:{line.line_no}",
        channel_txn_id=txn,
        amount_fen=line.amount_fen,
        currency=line.currency,
        occurred_at=line.happened_at,
    )


async def _conclude(row: Difference, evidence: Evidence) -> None:
    """Settled (or owed back as surplus): the difference is over. Otherwise a person goes on, and nobody asks again by itself."""
    attempt = await Attempt.filter(channel=row.channel, payment_no=row.payment_no).first() if row.payment_no else None
    fixed = attempt is not None and attempt.state in SETTLED and row.class_name != "SECOND_TRANSACTION"
    await conclude(row, fixed=fixed, text="向渠道查询后已自动入账" if fixed else _remaining(evidence))


def _remaining(evidence: Evidence) -> str:
    if evidence.outcome is Outcome.PAID:
        return "渠道证实已收款，款项记在待查账户"
    return "账单有此笔，渠道查询却说没有付款"


async def _proven_unpaid(row: Difference) -> bool:
    attempt = await Attempt.filter(channel=row.channel, payment_no=row.payment_no).first()
    if attempt is None:
        return False
    evidence = await _asked(row, attempt)
    return evidence.proven and evidence.outcome in _NOT_THERE
