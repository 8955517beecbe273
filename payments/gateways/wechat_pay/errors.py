"""What WeChat Pay's status and error words mean for an order; the only place that branches on them."""

from enum import StrEnum
from typing import Any

import structlog

from payments.gateways.wechat_pay.client import Reply

log = structlog.get_logger(__name__)


class Verdict(StrEnum):
    """How a reply is to be treated."""

    DONE = "done"  # proven success
    ALREADY_PAID = "already_paid"
    NOT_FOUND = "not_found"
    REFUSED = "refused"  # a proven no
    NOT_ENOUGH = "not_enough"  # a proven "top up first"
    UNKNOWN = "unknown"


# A new order that WeChat provably refused. What is not listed here is not a refusal.
_REFUSALS = frozenset(
    {
        "PARAM_ERROR",
        "INVALID_REQUEST",
        "APPID_MCHID_NOT_MATCH",
        "MCH_NOT_EXISTS",
        "NO_AUTH",
        "RULE_LIMIT",
        "TRADE_ERROR",
        "OPENID_MISMATCH",
    }
)
# A refund that WeChat provably refused: nothing moved. REFUND_FEE_MISMATCH is not here: it says that the number exists.
_REFUND_REFUSALS = frozenset(
    {
        "PARAM_ERROR",
        "INVALID_REQUEST",
        "APPID_MCHID_NOT_MATCH",
        "MCH_NOT_EXISTS",
        "NO_AUTH",
        "RULE_LIMIT",
        "TRADE_ERROR",
        "TRADE_OVERDUE",
        "USER_ACCOUNT_ABNORMAL",
        "RESOURCE_NOT_EXISTS",
    }
)
_ALREADY_PAID = frozenset({"ORDERPAID", "ORDER_PAID"})
_NO_SUCH_ORDER = frozenset({"ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS"})
# Ours to repair: wrong keys, wrong numbers, missing rights. They raise a configuration alarm whatever they prove.
CONFIGURATION = frozenset(
    {"SIGN_ERROR", "NO_AUTH", "APPID_MCHID_NOT_MATCH", "MCH_NOT_EXISTS", "PARAM_ERROR", "INVALID_REQUEST"}
)


def of_order(reply: Reply) -> Verdict:
    """Verdict on creating an order."""
    if not reply.proven:
        return Verdict.UNKNOWN
    if reply.status == 200 and not reply.code:
        return Verdict.DONE
    if 400 <= reply.status < 500 and reply.code in _ALREADY_PAID:
        return Verdict.ALREADY_PAID
    # OUT_TRADE_NO_USED and ORDER_CLOSED mean that the order exists: only a query tells what became of it.
    return Verdict.REFUSED if 400 <= reply.status < 500 and reply.code in _REFUSALS else Verdict.UNKNOWN


def of_query(reply: Reply) -> Verdict:
    """Verdict on a query. An unsigned 404 is good enough to send the same number again, and for nothing else."""
    if reply.status == 404 and (reply.code in _NO_SUCH_ORDER or not reply.code) and reply.reason != "probe":
        return Verdict.NOT_FOUND
    return Verdict.DONE if reply.proven and reply.status == 200 and not reply.code else Verdict.UNKNOWN


def of_close(reply: Reply) -> Verdict:
    """Verdict on a close."""
    if not reply.proven:
        return Verdict.UNKNOWN
    if reply.status == 204:
        return Verdict.DONE
    return Verdict.ALREADY_PAID if reply.code in _ALREADY_PAID else Verdict.UNKNOWN


def of_refund(reply: Reply) -> Verdict:
    """Verdict on asking for a refund. 429 and 5xx may mean "being processed": they conclude nothing, signed or not."""
    if not reply.proven:
        return Verdict.UNKNOWN
    if reply.status == 200 and not reply.code:
        return Verdict.DONE
    if not 400 <= reply.status < 500 or reply.status == 429:
        return Verdict.UNKNOWN
    if reply.code == "NOT_ENOUGH":
        return Verdict.NOT_ENOUGH
    return Verdict.REFUSED if reply.code in _REFUND_REFUSALS else Verdict.UNKNOWN


def why(reply: Reply) -> str:
    """What a reply said, in words fit for a log and a row."""
    return " ".join(str(part) for part in (reply.status or "", reply.code, reply.proof, reply.reason) if part)[:120]


def alarm(reply: Reply, call: str, number: str) -> None:
    """Raises the configuration alarm for answers that mean a mistake of ours."""
    if reply.code in CONFIGURATION or reply.status == 401:
        fields: dict[str, Any] = {"status": reply.status, "code": reply.code, "request_id": reply.request_id}
        log.error("wechat_pay.configuration", call=call, number=number, **fields)
