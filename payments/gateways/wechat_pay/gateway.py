"""WeChat Pay as a `PaymentGateway`: JSAPI orders, query, close, notices, keys; refunds are in `refunds`. No state of ours and no database here."""

import secrets
from collections.abc import Mapping
from urllib.parse import quote

import structlog

from kernel import clock
from kernel.http import Answer
from payments.gateways import rsa_keys
from payments.gateways.base import (
    Ack,
    Capabilities,
    CloseOutcome,
    CloseResult,
    Evidence,
    EvidenceKind,
    Order,
    OrderDraft,
    Rejected,
    VerifiedNotice,
)
from payments.gateways.statement_port import StatementPort
from payments.gateways.wechat_pay import certificates, errors, notices, orders, signing
from payments.gateways.wechat_pay.client import Merchant, WeChatPayClient
from payments.gateways.wechat_pay.errors import Verdict
from payments.gateways.wechat_pay.refunds import WeChatPayRefunds
from payments.gateways.wechat_pay.statements import WeChatStatements

log = structlog.get_logger(__name__)

_ORDER = "/v3/pay/transactions/out-trade-no/"

JSAPI, H5 = "jsapi", "h5"
PRODUCTS: Mapping[str, Capabilities] = {
    JSAPI: Capabilities(
        minimum_fen=1,
        maximum_fen=10**10,
        needs_payer_id=True,
        order_life_seconds=2 * 3600,
        least_life_seconds=90,
        client_action_life_seconds=110 * 60,  # a prepay_id lives 2 hours, whatever the order says
    ),
    H5: Capabilities(
        minimum_fen=1,
        maximum_fen=10**10,
        needs_payer_id=False,
        needs_payer_address=True,
        order_life_seconds=2 * 3600,
        least_life_seconds=90,
        client_action_life_seconds=270,  # an h5_url lives 5 minutes
    ),
}


class WeChatPayGateway:
    """One merchant account and one mini-program; `h5` where the merchant may also be paid from other browsers."""

    channel = orders.CHANNEL
    partner = "wechat-pay"
    products = PRODUCTS
    kept_headers: tuple[str, ...] = ("wechatpay-", "request-id")

    def __init__(
        self, *, client: WeChatPayClient, merchant: Merchant, notify_url: str, h5: bool = False, h5_return_url: str = ""
    ) -> None:
        self._client, self._merchant, self._notify_url = client, merchant, notify_url
        self._h5_return_url = h5_return_url
        self.offered: tuple[str, ...] = (JSAPI, H5) if h5 else (JSAPI,)
        self.refunds = WeChatPayRefunds(client=client, merchant=merchant, notify_url=notify_url)
        self.statements: StatementPort | None = WeChatStatements(client=client, merchant=merchant)

    def order_body(self, draft: OrderDraft) -> bytes:
        """The exact bytes of the order."""
        body = orders.h5_body if draft.product == H5 else orders.jsapi_body
        return body(draft, mchid=self._merchant.mchid, app_id=self._merchant.app_id, notify_url=self._notify_url)

    async def prepare(self, order: Order) -> Evidence:
        """Creates the order or repeats it: the identical request gives a fresh prepay_id or h5_url for the same order."""
        reply = await self._client.call("POST", f"/v3/pay/transactions/{order.product}", order.body, name=order.product)
        errors.alarm(reply, order.product, order.payment_no)
        if not reply.sent:
            return orders.not_sent(order.payment_no, errors.why(reply))
        verdict = errors.of_order(reply)
        if verdict is Verdict.REFUSED:
            return orders.refused(order.payment_no, errors.why(reply))
        opens = reply.data.get("h5_url" if order.product == H5 else "prepay_id")
        if verdict is Verdict.DONE and isinstance(opens, str) and opens:
            action = self._page(opens) if order.product == H5 else self._client_action(opens)
            return orders.accepted(order.payment_no, action, reply.request_id)
        return orders.no_reply(order.payment_no, EvidenceKind.REPLY, errors.why(reply))

    async def query(self, order: Order) -> Evidence:
        """Asks about the order by our number."""
        target = f"{_ORDER}{order.payment_no}?mchid={self._merchant.mchid}"
        reply = await self._client.call("GET", target, name="query")
        verdict = errors.of_query(reply)
        if verdict is Verdict.NOT_FOUND:
            return orders.not_found(order.payment_no, errors.why(reply), proven=reply.proven)
        if verdict is Verdict.DONE:
            found = orders.order_evidence(
                reply.data, kind=EvidenceKind.QUERY, source_id=None, raw_ref=f"query:{reply.request_id}"
            )
            if found is not None and found.payment_no == order.payment_no:
                return found
            return orders.no_reply(order.payment_no, EvidenceKind.QUERY, "incomplete or another order")
        errors.alarm(reply, "query", order.payment_no)
        return orders.no_reply(order.payment_no, EvidenceKind.QUERY, errors.why(reply))

    async def close(self, order: Order) -> CloseResult:
        """Closes the order; 204 with a good signature is the only proof that it is closed."""
        target = f"{_ORDER}{order.payment_no}/close"
        reply = await self._client.call("POST", target, orders.close_body(self._merchant.mchid), name="close")
        verdict = errors.of_close(reply)
        if verdict is Verdict.DONE:
            return CloseResult(CloseOutcome.CLOSED)
        if verdict is Verdict.ALREADY_PAID:
            return CloseResult(CloseOutcome.ALREADY_PAID)
        errors.alarm(reply, "close", order.payment_no)
        return CloseResult(CloseOutcome.UNKNOWN, errors.why(reply))

    async def verify_notification(self, headers: Mapping[str, str], raw: bytes) -> VerifiedNotice | Rejected:
        """Checks and opens a notice."""
        return await notices.verify(self._client.keys, self._merchant, headers, raw)

    def open_stored(self, raw: bytes) -> VerifiedNotice | Rejected:
        """Opens a notice from the inbox."""
        return notices.open_notice(self._merchant, raw)

    def ack(self, verdict: VerifiedNotice | Rejected) -> Ack:
        """What WeChat expects back."""
        return notices.ack(verdict)

    def is_ours(self, evidence: Evidence) -> bool:
        """Whether merchant and mini-program of the evidence are ours."""
        return (evidence.merchant_id, evidence.app_id) == (self._merchant.mchid, self._merchant.app_id)

    async def refresh_keys(self, wanted: str = "") -> None:
        """Fetches the platform certificates. A failure keeps the old ones and is only logged."""
        answer = await self._client.raw("GET", "/v3/certificates", b"", name="certificates")
        if not isinstance(answer, Answer):
            log.warning("wechat_pay.certificates", outcome="kept", reason=answer.reason)
            return
        found = await certificates.read(answer, self._merchant, self._client.keys)
        if isinstance(found, str):
            log.info("wechat_pay.certificates", outcome="kept", reason=found, status=answer.status)
            return
        await self._client.keys.keep(found)
        log.info("wechat_pay.certificates", outcome="fetched", serials=[c.serial for c in found])

    def _page(self, h5_url: str) -> dict[str, str]:
        back = f"&redirect_url={quote(self._h5_return_url, safe='')}" if self._h5_return_url else ""
        return {"url": f"{h5_url}{back}"}

    def _client_action(self, prepay_id: str) -> dict[str, str]:
        timestamp, nonce, package = str(int(clock.now().timestamp())), secrets.token_hex(16), f"prepay_id={prepay_id}"
        message = signing.client_message(self._merchant.app_id, timestamp, nonce, package)
        return {
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": rsa_keys.sign(self._merchant.key, message),
        }
