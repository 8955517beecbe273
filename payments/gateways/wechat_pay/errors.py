"""What WeChat Pay's status and error words mean for an order; the only place that branches on them."""

from enum import StrEnum

from payments.gateways.wechat_pay.client import Reply


class Verdict(StrEnum):
    """How a reply is to be treated."""

    DONE = "done"  # proven success
    ALREADY_PAID = "already_paid"
    NOT_FOUND = "not_found"
    REFUSED = "refused"  # a proven no
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
