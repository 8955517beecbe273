"""Alipay as a `PaymentGateway`: signed pages, mini-program orders, query, close, notices, keys. No state of ours, no database here."""

import base64
import binascii
from collections.abc import Mapping

import structlog

from payments.gateways.alipay import certificates, errors, notices, orders, requests
from payments.gateways.alipay.client import AlipayClient
from payments.gateways.alipay.errors import Verdict
from payments.gateways.alipay.refunds import AlipayRefunds
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
from payments.gateways.rsa_keys import UnusableKey
from payments.gateways.statement_port import StatementPort

log = structlog.get_logger(__name__)

_MOST_FEN = 10**10
PRODUCTS: Mapping[str, Capabilities] = {
    orders.WAP: Capabilities(
        minimum_fen=1,
        maximum_fen=_MOST_FEN,
        needs_payer_id=False,
        order_life_seconds=15 * 86400,
        least_life_seconds=90,
        client_action_life_seconds=600,  # signing a fresh one costs nothing
        prepared_locally=True,
    ),
    orders.MINI: Capabilities(
        minimum_fen=1,
        maximum_fen=_MOST_FEN,
        needs_payer_id=True,
        order_life_seconds=15 * 86400,
        least_life_seconds=90,
        client_action_life_seconds=15 * 86400,  # a trade number opens the cashier as long as the trade lives
    ),
}


class AlipayGateway:
    """One merchant and its application; with a mini-program of its own if `mini_app_id` is given."""

    channel = orders.CHANNEL
    partner = "alipay"
    products = PRODUCTS
    kept_headers: tuple[str, ...] = ("content-type",)

    def __init__(
        self,
        *,
        client: AlipayClient,
        notify_url: str,
        return_url: str = "",
        quit_url: str = "",
        mini_app_id: str = "",
        statements: StatementPort | None = None,
    ) -> None:
        self._client, self._mini_app_id = client, mini_app_id
        self._notify_url, self._return_url, self._quit_url = notify_url, return_url, quit_url
        self.offered: tuple[str, ...] = (orders.WAP, orders.MINI) if mini_app_id else (orders.WAP,)
        self.refunds, self.statements = AlipayRefunds(client=client), statements

    def order_body(self, draft: OrderDraft) -> bytes:
        """The business content of the order; time and signature are added to it in every send."""
        if draft.product == orders.MINI:
            return orders.mini_content(draft, mini_app_id=self._mini_app_id)
        return orders.wap_content(draft, quit_url=self._quit_url)

    async def prepare(self, order: Order) -> Evidence:
        """A signed page for the browser (nothing is sent), or a trade for the mini-program: repeating gives the same trade."""
        if order.product == orders.WAP:
            found = requests.parameters(
                requests.WAP_PAY,
                order.body,
                self._client.application,
                notify_url=self._notify_url,
                return_url=self._return_url,
            )
            return orders.accepted(order.payment_no, {"url": requests.url(self._client.base_url, found)})
        reply = await self._client.call(requests.CREATE, order.body, notify_url=self._notify_url)
        errors.alarm(reply, requests.CREATE, order.payment_no)
        kind = EvidenceKind.REPLY
        if not reply.sent:
            return orders.said(order.payment_no, kind, Outcome.NOT_SENT, errors.why(reply))
        verdict, trade_no = errors.of_order(reply), reply.data.get("trade_no")
        if verdict is Verdict.REFUSED:
            return orders.said(order.payment_no, kind, Outcome.REFUSED, errors.why(reply), proven=True)
        ours = reply.data.get("out_trade_no") == order.payment_no
        if verdict is Verdict.DONE and ours and isinstance(trade_no, str) and trade_no:
            return orders.accepted(order.payment_no, {"tradeNO": trade_no})
        return orders.said(order.payment_no, kind, Outcome.NO_REPLY, errors.why(reply))

    async def query(self, order: Order) -> Evidence:
        """Asks about the trade by our number. A page nobody opened has no trade: NOT_FOUND."""
        reply = await self._client.call(requests.QUERY, orders.by_number(requests.QUERY, order.payment_no))
        kind, verdict = EvidenceKind.QUERY, errors.of_query(reply)
        if verdict is Verdict.NOT_FOUND:
            return orders.said(order.payment_no, kind, Outcome.NOT_FOUND, errors.why(reply), proven=reply.proven)
        if verdict is Verdict.DONE:
            found = orders.trade_evidence(reply.data, kind=kind, source_id=None, raw_ref="query")
            if found is not None and found.payment_no == order.payment_no:
                return found
            return orders.said(order.payment_no, kind, Outcome.NO_REPLY, "incomplete or another trade")
        errors.alarm(reply, requests.QUERY, order.payment_no)
        return orders.said(order.payment_no, kind, Outcome.NO_REPLY, errors.why(reply))

    async def close(self, order: Order) -> CloseResult:
        """Closes the trade. A proven success about this number is the only proof; for a page nobody opened there is nothing to close."""
        reply = await self._client.call(requests.CLOSE, orders.by_number(requests.CLOSE, order.payment_no))
        if errors.of_close(reply) is Verdict.DONE and reply.data.get("out_trade_no") == order.payment_no:
            return CloseResult(CloseOutcome.CLOSED)
        errors.alarm(reply, requests.CLOSE, order.payment_no)
        return CloseResult(CloseOutcome.UNKNOWN, errors.why(reply))

    async def verify_notification(self, headers: Mapping[str, str], raw: bytes) -> VerifiedNotice | Rejected:
        """Checks and opens a notice; everything that counts stands in the form."""
        return await notices.verify(self._client.keys, self._client.application, raw)

    def open_stored(self, raw: bytes) -> VerifiedNotice | Rejected:
        """Opens a notice from the inbox."""
        return notices.open_notice(self._client.application, raw)

    def ack(self, verdict: VerifiedNotice | Rejected) -> Ack:
        """What Alipay expects back."""
        return notices.ack(verdict)

    def is_ours(self, evidence: Evidence) -> bool:
        """Whether merchant and application of the evidence are ours."""
        application = self._client.application
        return (evidence.merchant_id, evidence.app_id) == (application.seller_id, application.app_id)

    async def refresh_keys(self, wanted: str = "") -> None:
        """Fetches the Alipay certificate of an SN that signed something. It proves itself by its chain to the root we hold.

        There is no list to fetch, so without a wanted SN nothing is done. A failure keeps what we have.
        """
        if not wanted or not self._client.keys.certificate_mode:
            return
        content = requests.content(requests.CERTIFICATE, {"alipay_cert_sn": wanted})
        reply = await self._client.call(requests.CERTIFICATE, content)
        packed = reply.data.get("alipay_cert_content")
        outcome = "kept"
        try:
            if isinstance(packed, str):
                chain = certificates.load_chain(base64.b64decode(packed, validate=True))
                outcome = "fetched" if await self._client.keys.keep(chain, sn=wanted) else "refused"
        except (binascii.Error, ValueError, UnusableKey):
            outcome = "unreadable"
        log.warning("alipay.certificate", outcome=outcome, code=errors.words(reply))
