"""The states of a run as a table, and every class of difference with its Chinese name, its owner, and whether money moves."""

from dataclasses import dataclass
from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine


class RunState(StrEnum):
    """How far one daily file came."""

    PENDING = "pending"
    WAITING = "waiting"
    FETCHED = "fetched"
    PARSED = "parsed"
    MATCHED = "matched"
    DIFFS_OPEN = "diffs_open"
    NO_STATEMENT = "no_statement"
    FAILED = "failed"
    CLOSED = "closed"


class RunAction(StrEnum):
    """What may happen to a run."""

    NOT_READY = "not_ready"
    FETCH = "fetch"
    NONE_EXISTS = "none_exists"
    BREAK = "break"  # hash wrong, cut short, summary missing or different: nothing of the file is used
    PARSE = "parse"
    FIND_NOTHING = "find_nothing"
    FIND_DIFFERENCES = "find_differences"
    SIGN_OFF = "sign_off"
    AGAIN = "again"  # somebody wants the file fetched anew


_S, _A = RunState, RunAction
_TRYING = (_S.PENDING, _S.WAITING, _S.FAILED)

RUN = Machine(
    "reconciliation run",
    edges=[
        *(Edge(state, _A.NOT_READY, _S.WAITING) for state in _TRYING),
        *(Edge(state, _A.FETCH, _S.FETCHED) for state in _TRYING),
        *(Edge(state, _A.NONE_EXISTS, _S.NO_STATEMENT) for state in _TRYING),
        *(Edge(state, _A.BREAK, _S.FAILED) for state in (*_TRYING, _S.FETCHED)),
        Edge(_S.FETCHED, _A.PARSE, _S.PARSED),
        *(Edge(state, _A.FIND_NOTHING, _S.MATCHED) for state in (_S.PARSED, _S.NO_STATEMENT)),
        *(Edge(state, _A.FIND_DIFFERENCES, _S.DIFFS_OPEN) for state in (_S.PARSED, _S.NO_STATEMENT)),
        *(Edge(state, _A.SIGN_OFF, _S.CLOSED) for state in (_S.MATCHED, _S.DIFFS_OPEN)),
        # A process that dies between two steps leaves FETCHED, PARSED or NO_STATEMENT: the next one begins anew.
        *(
            Edge(state, _A.AGAIN, _S.PENDING)
            for state in (_S.FETCHED, _S.PARSED, _S.NO_STATEMENT, _S.MATCHED, _S.DIFFS_OPEN)
        ),
    ],
    labels={
        _S.PENDING: Label("pending", "待取账单", False),
        _S.WAITING: Label("waiting", "账单未出，等待中", False),
        _S.FETCHED: Label("fetched", "已取账单", False),
        _S.PARSED: Label("parsed", "已读账单", False),
        _S.MATCHED: Label("matched", "对平，待签字", False),
        _S.DIFFS_OPEN: Label("diffs_open", "有差异，待处理", False),
        _S.NO_STATEMENT: Label("no_statement", "当日无账单", False),
        _S.FAILED: Label("failed", "账单不可用，将重试", False),
        _S.CLOSED: Label("closed", "已签字关账", True),
    },
)
TRYING: tuple[RunState, ...] = _TRYING
COMPARED: tuple[RunState, ...] = (_S.MATCHED, _S.DIFFS_OPEN, _S.CLOSED)


class DifferenceState(StrEnum):
    """Where a difference stands."""

    OPEN = "open"
    CARRIED = "carried"  # waits for the statements of the next days
    PROPOSED = "proposed"  # one person has said how it ends; money moves, so another must agree
    AUTO_FIXED = "auto_fixed"
    RESOLVED = "resolved"


UNFINISHED: tuple[DifferenceState, ...] = (DifferenceState.OPEN, DifferenceState.CARRIED, DifferenceState.PROPOSED)
DIFFERENCE_LABELS: dict[str, str] = {
    DifferenceState.OPEN: "待处理",
    DifferenceState.CARRIED: "结转次日",
    DifferenceState.PROPOSED: "待复核",
    DifferenceState.AUTO_FIXED: "已自动处理",
    DifferenceState.RESOLVED: "已处理",
}

FINANCE, OPERATIONS = "财务", "运维"


@dataclass(frozen=True)
class DifferenceClass:
    """What a class of difference is called, who looks at it first, whether closing it moves money, and whether it is an alarm."""

    label: str
    owner: str = FINANCE
    money: bool = True
    critical: bool = False


CLASSES: dict[str, DifferenceClass] = {
    "CHANNEL_ONLY": DifferenceClass("长款：渠道有、我方无"),
    "LOCAL_ONLY": DifferenceClass("短款：我方有、渠道无", critical=True),
    "AMOUNT_HIGH": DifferenceClass("渠道金额大于我方"),
    "AMOUNT_LOW": DifferenceClass("渠道金额小于我方"),
    "CURRENCY": DifferenceClass("币种不同"),
    "PAYER": DifferenceClass("付款人不同"),
    "SECOND_TRANSACTION": DifferenceClass("同一支付单的另一笔交易"),
    "STATUS_OURS_UNPAID": DifferenceClass("渠道已付、我方未付"),
    "STATUS_OURS_PAID_THEIRS_NOT": DifferenceClass("我方已付、渠道未付", critical=True),
    "REFUND_CHANNEL_ONLY": DifferenceClass("渠道有退款、我方无"),
    "REFUND_LOCAL_ONLY": DifferenceClass("我方有退款、渠道无", critical=True),
    "REFUND_AMOUNT": DifferenceClass("退款金额不同", critical=True),
    "FEE": DifferenceClass("手续费与合同不符", money=False),
    "DUPLICATE_LINE": DifferenceClass("账单重复行", money=False),
    "SETTLEMENT_SHORT": DifferenceClass("到账少于账单", critical=True),
    "SETTLEMENT_OVER": DifferenceClass("到账多于账单"),
    "UNKNOWN_LINE": DifferenceClass("账单中不认识的行", money=False),
    "RECEIPT_MISSING": DifferenceClass("已缴未开票", money=False),
    "RECEIPT_NOT_REVERSED": DifferenceClass("已退未冲红", money=False),
    "RECEIPT_IN_THE_WAY": DifferenceClass("票据在外、退款等待", money=False),
    "ATTEMPT_STUCK": DifferenceClass("支付一周无结论", money=False),
    "SECURITY_FOREIGN_MERCHANT": DifferenceClass("他人商户的消息", owner=OPERATIONS, money=False, critical=True),
    "SECURITY_UNREADABLE_NOTICE": DifferenceClass("无法解密的通知", owner=OPERATIONS, money=False, critical=True),
}


def difference_class(name: str) -> DifferenceClass:
    """A class that has no row here is treated with the greatest care: money moves, and a second person must agree."""
    return CLASSES.get(name, DifferenceClass(name))
