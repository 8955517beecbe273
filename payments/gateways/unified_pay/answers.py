"""What an answer or a push about a 缴款码 says: evidence in the core's words. Pure; belief was decided before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from kernel import clock
from payments.gateways.base import CodeSeen, Evidence, EvidenceKind, Outcome
from payments.gateways.unified_pay import wording
from payments.gateways.unified_pay.book import Demand
from payments.gateways.unified_pay.client import Reply
from payments.gateways.unified_pay.profile import Profile
from payments.money import CURRENCY

CHANNEL = "unified"


@dataclass(frozen=True, kw_only=True)
class Paid:
    """One payment of a code as the platform tells it."""

    txn: str
    amount_fen: int
    at: datetime | None
    order_no: str
    elsewhere: bool


def paid(profile: Profile, facts: Mapping[str, str]) -> Paid | None:
    """A payment from our words; None when what every payment has is missing."""
    txn, amount = facts.get("txn", ""), wording.amount_fen(profile, facts.get("amount", ""))
    if not txn or amount is None:
        return None
    way = facts.get("way", "")
    return Paid(
        txn=txn[:64],
        amount_fen=amount,
        at=wording.moment(facts.get("paid_date", ""), facts.get("paid_time", "")),
        order_no=facts.get("paid_order", "")[:64],
        elsewhere=bool(way) and profile.word("way", way) != "ours",
    )


def of_query(profile: Profile, reply: Reply, demand: Demand, payment_no: str) -> Evidence:
    """PAID, NOTPAY, CLOSED or NO_REPLY about the attempt that was asked about."""
    if reply.get("pay_code") != demand.pay_code:
        return no_reply(payment_no, EvidenceKind.QUERY, "another code")
    standing = profile.word("bill", reply.get("bill"))
    if standing == "paid":
        found = _payments(profile, reply)
        # Asked about under the bare code: money that no order of ours brought.
        wanted = "" if payment_no == demand.pay_code else payment_no
        mine = next((one for one in found if one.order_no == wanted), found[0] if found else None)
        if mine is None:
            return no_reply(payment_no, EvidenceKind.QUERY, "paid without particulars")
        return money(mine, demand.pay_code, payment_no, EvidenceKind.QUERY, f"{payment_no}:{mine.txn}")
    if standing != "unpaid":
        return no_reply(payment_no, EvidenceKind.QUERY, "unknown word for the bill")
    return _unpaid(profile, reply, demand, payment_no)


def money(
    one: Paid, pay_code: str, payment_no: str, kind: EvidenceKind, source_id: str, *, payer: str | None = None
) -> Evidence:
    """Proven money for a code. Whose attempt it belongs to is decided where the attempts are known."""
    return Evidence(
        kind=kind,
        channel=CHANNEL,
        payment_no=payment_no,
        outcome=Outcome.PAID,
        observed_at=clock.now(),
        source_id=source_id[:80],
        raw_ref=f"{kind}:{pay_code}"[:80],
        channel_txn_id=one.txn,
        amount_fen=one.amount_fen,
        currency=CURRENCY,
        payer_id=payer,
        occurred_at=one.at,
        code=CodeSeen(pay_code=pay_code, order_no=one.order_no, elsewhere=one.elsewhere),
    )


def no_reply(payment_no: str, kind: EvidenceKind, reason: str) -> Evidence:
    """Nothing is known; `reason` says why, in words fit for a log."""
    return plain(payment_no, kind, Outcome.NO_REPLY, reason)


def plain(payment_no: str, kind: EvidenceKind, outcome: Outcome, reason: str = "", *, proven: bool = False) -> Evidence:
    """A statement without money."""
    return Evidence(
        kind=kind,
        channel=CHANNEL,
        payment_no=payment_no,
        outcome=outcome,
        observed_at=clock.now(),
        source_id=f"{payment_no}:{outcome}",
        reason=reason[:120],
        proven=proven,
    )


def accepted(payment_no: str, pay_url: str) -> Evidence:
    """The platform has the order; the phone opens this address."""
    done = plain(payment_no, EvidenceKind.REPLY, Outcome.ACCEPTED, proven=True)
    return replace(done, client_action={"url": pay_url})


def _payments(profile: Profile, reply: Reply) -> list[Paid]:
    told = [one for one in reply.orders if one.get("paid_date")] or ([reply.facts] if reply.get("txn") else [])
    return [found for one in told if (found := paid(profile, one)) is not None]


def _unpaid(profile: Profile, reply: Reply, demand: Demand, payment_no: str) -> Evidence:
    """An order ends by a close, or by its own end as the platform states it; the bill lives on."""
    told = next((one for one in reply.orders if one.get("paid_order") == payment_no), reply.facts)
    word = profile.word("order", told.get("order", ""))
    ends_at = wording.moment(told.get("ends_date", ""), told.get("ends_time", "")) or demand.order_ends_at
    if word == "paid":
        return no_reply(payment_no, EvidenceKind.QUERY, "order paid, bill unpaid")
    if word == "closed" or wording.over_for_certain(profile, ends_at, clock.now()):
        return plain(payment_no, EvidenceKind.QUERY, Outcome.CLOSED, word or "over", proven=True)
    return plain(payment_no, EvidenceKind.QUERY, Outcome.NOTPAY, word, proven=True)
