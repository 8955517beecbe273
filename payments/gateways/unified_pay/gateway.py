"""Unified public payment as a `PaymentGateway`: bills by 缴款码, orders with a short life, pushes. No table of ours here."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from kernel import clock
from payments.gateways.base import (
    Ack,
    Capabilities,
    CloseOutcome,
    CloseResult,
    Evidence,
    EvidenceKind,
    Order,
    OrderDraft,
    Outcome,
    Rejected,
    VerifiedNotice,
)
from payments.gateways.refund_port import RefundPort
from payments.gateways.statement_port import StatementPort
from payments.gateways.unified_pay import answers, notices, wording
from payments.gateways.unified_pay.book import CodeBook, Demand
from payments.gateways.unified_pay.client import Reply, UnifiedPayClient, today
from payments.gateways.unified_pay.receipts import UnifiedReceipts
from payments.gateways.unified_pay.refunds import UnifiedRefunds
from payments.gateways.unified_pay.statement import UnifiedStatements

PAY, ELSEWHERE = "pay", "elsewhere"
_REPLY = EvidenceKind.REPLY


class UnifiedPayGateway:
    """One finance platform in the words of one profile."""

    channel = answers.CHANNEL
    partner = "unified-pay"
    offered: tuple[str, ...] = (PAY,)
    kept_headers: tuple[str, ...] = ()

    def __init__(self, *, client: UnifiedPayClient, book: CodeBook) -> None:
        self._client, self._book, self._profile = client, book, client.profile
        can = Capabilities(
            minimum_fen=1,
            maximum_fen=10**10,
            needs_payer_id=False,
            order_life_seconds=self._profile.order.life_seconds,
            least_life_seconds=60,
            client_action_life_seconds=self._profile.order.life_seconds,
            bill_outlives_order=True,
        )
        # Paid at a counter: known, shown and given back, but nothing that a phone could start.
        self.products: Mapping[str, Capabilities] = {PAY: can, ELSEWHERE: can}
        self.statements: StatementPort | None = UnifiedStatements(client) if client.can("statement") else None
        self.receipts = UnifiedReceipts(client, book) if client.can("receipt_issue") else None
        self._refunds = UnifiedRefunds(client)

    @property
    def refunds(self) -> RefundPort:
        """The refund side; where the region has none, its capabilities forbid every refund."""
        return self._refunds

    def order_body(self, draft: OrderDraft) -> bytes:
        """What is committed before the first send; with the bill's own rows it fixes every byte of the messages."""
        return json.dumps({"order_no": draft.payment_no, "date": today()}, separators=(",", ":")).encode()

    async def prepare(self, order: Order) -> Evidence:
        """Registers the bill where that is a call of its own, then opens the order under the bill's code."""
        number = order.payment_no
        if not wording.in_hours(self._profile, clock.now()):
            return answers.plain(number, _REPLY, Outcome.NOT_SENT, "outside the platform's hours")
        demand = await self._book.demand(number)
        if demand is None:
            return answers.plain(number, _REPLY, Outcome.NOT_SENT, "no such attempt")
        if why := self._unfit(demand):
            return answers.plain(number, _REPLY, Outcome.REFUSED, why, proven=True)
        date = str(json.loads(order.body)["date"])
        if self._client.can("register") and not demand.registered:
            reply = await self._call("register", number, demand, date)
            if not self._profile.means(reply.result, "done"):
                return await self._not_opened(order, reply)
            await self._book.registered(demand.pay_code)
        reply = await self._call("order", number, demand, date)
        if self._profile.means(reply.result, "done") and _is_address(reply.get("pay_url")):
            return answers.accepted(number, reply.get("pay_url"))
        return await self._not_opened(order, reply)

    async def query(self, order: Order) -> Evidence:
        """Asks about the code; the answer is about the bill and, where the platform knows it, about this order."""
        number, demand = order.payment_no, await self._book.demand(order.payment_no)
        if demand is None:
            return answers.no_reply(number, EvidenceKind.QUERY, "no such attempt")
        reply = await self._ask(demand.pay_code, number)
        missing = self._profile.means(reply.result, "no_such_order")
        if missing:
            # The order never came to be, but its bill may be paid by another way: then that is the news.
            reply = await self._ask(demand.pay_code, "")
        if self._profile.means(reply.result, "no_such_bill"):
            return answers.plain(number, EvidenceKind.QUERY, Outcome.NOT_FOUND, reply.reason, proven=True)
        if not self._profile.means(reply.result, "done", "already_paid"):
            return answers.no_reply(number, EvidenceKind.QUERY, reply.reason)
        found = answers.of_query(self._profile, reply, demand, number)
        if missing and found.outcome in (Outcome.NOTPAY, Outcome.CLOSED):
            return answers.plain(number, EvidenceKind.QUERY, Outcome.NOT_FOUND, "no such order", proven=True)
        return found

    async def close(self, order: Order) -> CloseResult:
        """Closes the order where the region can; elsewhere only the order's own end closes it, and the query tells."""
        demand = await self._book.demand(order.payment_no)
        if demand is None or not self._client.can("close"):
            return CloseResult(CloseOutcome.UNKNOWN, "no close here")
        reply = await self._client.call("close", {"pay_code": demand.pay_code, "order_no": order.payment_no})
        if self._profile.means(reply.result, "done"):
            return CloseResult(CloseOutcome.CLOSED)
        if self._profile.means(reply.result, "already_paid"):
            return CloseResult(CloseOutcome.ALREADY_PAID)
        return CloseResult(CloseOutcome.UNKNOWN, reply.reason)

    async def verify_notification(self, headers: Mapping[str, str], raw: bytes) -> VerifiedNotice | Rejected:
        """Checks and opens one pushed message."""
        return await notices.verify(self._client, self._book, raw)

    def open_stored(self, raw: bytes) -> VerifiedNotice | Rejected:
        """Opens a push from the inbox."""
        return notices.opened(self._client, raw)

    def ack(self, verdict: VerifiedNotice | Rejected) -> Ack:
        """What the platform expects back."""
        return notices.ack(self._client, verdict)

    def messages(self, raw: bytes) -> list[bytes]:
        """The messages that came in one packet. Raises FrameError."""
        return notices.split(self._client, raw)

    def is_ours(self, evidence: Evidence) -> bool:
        """A code of ours is the only sign that money is ours; statements name no merchant."""
        return True

    async def refresh_keys(self, wanted: str = "") -> None:
        """There are no keys to fetch: the secret is shared by hand."""

    async def _ask(self, pay_code: str, order_no: str) -> Reply:
        return await self._client.call("query", {"pay_code": pay_code, "order_no": order_no})

    async def _call(self, name: str, number: str, demand: Demand, date: str) -> Reply:
        profile, unit = self._profile, self._profile.units.get(demand.unit_code)
        facts = {
            "pay_code": demand.pay_code, "order_no": number, "bill_no": demand.bill_no, "date": date,
            "amount": wording.amount_text(profile, demand.amount_fen), "zero": wording.amount_text(profile, 0),
            "unit_code": unit.code if unit else demand.unit_code, "unit_name": unit.name if unit else "",
            "payer": profile.defaults.payer, "title": demand.title,
        }  # fmt: skip
        items = wording.items(profile, demand.lines)
        return await self._client.call(name, facts, items=items, msg_id=number if name == "order" else None, date=date)

    def _unfit(self, demand: Demand) -> str:
        """Why this bill cannot go this way; known before anything is sent."""
        if self._profile.units and demand.unit_code not in self._profile.units:
            return "the unit is not known to the finance platform"
        if sum(line.amount_fen for line in demand.lines) != demand.amount_fen:
            return "the items do not add up to what is due"
        return ""

    async def _not_opened(self, order: Order, reply: Reply) -> Evidence:
        number, profile = order.payment_no, self._profile
        if not reply.sent:
            return answers.plain(number, _REPLY, Outcome.NOT_SENT, reply.reason)
        if profile.means(reply.result, "already_paid"):
            found = await self.query(order)
            return (
                found if found.outcome is Outcome.PAID else answers.no_reply(number, _REPLY, "already paid, not shown")
            )
        if profile.means(reply.result, "refused"):
            return answers.plain(number, _REPLY, Outcome.REFUSED, reply.reason, proven=True)
        return answers.no_reply(number, _REPLY, reply.reason or "no address to pay at")


def _is_address(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("https", "http") and bool(parts.hostname) and len(text) <= 1024
