"""What Alipay's codes mean for an order and a refund; the only place that branches on them.

Spellings vary (`AQC.SYSTEM_ERROR`, `TRADE_NOT_EXIST` without its prefix), so sub codes are compared by their core.
"""

from enum import StrEnum

import structlog

from payments.gateways.alipay.answers import Reply

log = structlog.get_logger(__name__)

SUCCESS, _UNKNOWN, _BUSINESS, _TOO_MANY = "10000", "20000", "40004", "40005"
# Ours to repair: keys, numbers, missing rights. They raise a configuration alarm whatever they prove.
_CONFIGURATION = frozenset({"20001", "40001", "40002", "40003", "40006"})


class Verdict(StrEnum):
    """How a reply is to be treated."""

    DONE = "done"  # proven: the call succeeded, which is not "paid" and not "refunded"
    NOT_FOUND = "not_found"
    NOT_ENOUGH = "not_enough"
    REFUSED = "refused"  # a proven no
    UNKNOWN = "unknown"


# A new order that Alipay provably refused. What is not listed here is not a refusal; TRADE_HAS_SUCCESS is none.
_ORDER_REFUSALS = frozenset(
    {
        "TRADE_HAS_CLOSE",
        "CONTEXT_INCONSISTENT",
        "TOTAL_FEE_EXCEED",
        "BUYER_SELLER_EQUAL",
        "EXIST_FORBIDDEN_WORD",
        "MERCHANT_STATUS_NOT_NORMAL",
        "ACCESS_FORBIDDEN",
        "PARTNER_ERROR",
        "NOW_TIME_AFTER_EXPIRE_TIME_ERROR",
        "RISK_MERCHANT_IP_NOT_EXIST",
        "INVALID_PARAMETER",
    }
)
# DISCORDANT_REPEAT_REQUEST (another refund stands under this number) and TRADE_HAS_CLOSE (unpaid, or refunded already) conclude
# nothing about this refund: it is asked about.
_REFUND_REFUSALS = frozenset(
    {
        "REASON_TRADE_REFUND_FEE_ERR",
        "REFUND_AMT_NOT_EQUAL_TOTAL",
        "TRADE_HAS_FINISHED",
        "TRADE_NOT_ALLOW_REFUND",
        "NOT_ALLOW_PARTIAL_REFUND",
        "TRADE_STATUS_ERROR",
        "INVALID_PARAMETER",
    }
)


def of_order(reply: Reply) -> Verdict:
    """Verdict on creating an order."""
    return _of_write(reply, _ORDER_REFUSALS)


def of_refund(reply: Reply) -> Verdict:
    """Verdict on asking for a refund."""
    if reply.proven and reply.code == _BUSINESS and core(reply) == "SELLER_BALANCE_NOT_ENOUGH":
        return Verdict.NOT_ENOUGH
    return _of_write(reply, _REFUND_REFUSALS)


def of_query(reply: Reply) -> Verdict:
    """Verdict on a query. An unsigned "no such trade" is good enough to send the same number again, and for nothing else."""
    if reply.code == _BUSINESS and core(reply) == "TRADE_NOT_EXIST":
        return Verdict.NOT_FOUND
    return Verdict.DONE if reply.proven and reply.code == SUCCESS else Verdict.UNKNOWN


def of_close(reply: Reply) -> Verdict:
    """Verdict on a close. A trade that does not exist cannot be closed: it may still be opened."""
    return Verdict.DONE if reply.proven and reply.code == SUCCESS else Verdict.UNKNOWN


def core(reply: Reply) -> str:
    """The sub code without what its spellings differ in."""
    return reply.sub_code.rpartition(".")[2].upper()


def alarm(reply: Reply, call: str, number: str) -> None:
    """Raises the configuration alarm for answers that mean a mistake of ours."""
    if reply.code in _CONFIGURATION or core(reply) == "DISCORDANT_REPEAT_REQUEST":
        log.error("alipay.configuration", call=call, key=number, code=words(reply))


def words(reply: Reply) -> str:
    """Both codes."""
    return f"{reply.code} {reply.sub_code}".strip()


def why(reply: Reply) -> str:
    """What a reply said, in words fit for a log and a row."""
    return " ".join(part for part in (reply.code, reply.sub_code, str(reply.proof), reply.reason) if part)[:120]


def _of_write(reply: Reply, refusals: frozenset[str]) -> Verdict:
    if not reply.proven or reply.code in (_UNKNOWN, _TOO_MANY):
        return Verdict.UNKNOWN
    if reply.code == SUCCESS:
        return Verdict.DONE
    if reply.code == _BUSINESS:
        return Verdict.REFUSED if core(reply) in refusals else Verdict.UNKNOWN
    return Verdict.REFUSED if reply.code in _CONFIGURATION else Verdict.UNKNOWN
