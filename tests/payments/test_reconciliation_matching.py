"""The comparison: every class from its own seeded line, the same result in any order of lines, and every fen explained."""

import asyncio
import threading
from collections import Counter
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.gateways.statement_port import LineKind, StatementInvalid, StatementKind, StatementLine
from payments.reconciliation.scratch import Desk, Ours, Scratch

TRADE, FUND = StatementKind.TRADE, StatementKind.FUND
PAY, BACK, FEE, BANK, OTHER = LineKind.PAYMENT, LineKind.REFUND, LineKind.FEE, LineKind.SETTLEMENT, LineKind.OTHER
AT = datetime(2026, 11, 19, 4, 0, tzinfo=UTC)
VALUES = {"channel": "wechat", "day": "2026-11-19", "per_10000": 60}


def fee(fen: int) -> int:
    return (fen * 60 + 5000) // 10000


def line(number: str | None, fen: int = 1000, *, kind=PAY, txn: str | None = "?", **more) -> StatementLine:
    refund = kind is BACK
    values = {
        "line_no": 0, "kind": kind, "amount_fen": fen, "currency": "CNY", "happened_at": AT, "incoming": not refund,
        "payment_no": None if refund else number, "refund_no": number if refund else None,
        "channel_txn_id": f"T-{number}" if txn == "?" else txn, "fee_fen": -fee(fen) if refund else fee(fen),
    }  # fmt: skip
    return StatementLine(**(values | more))


def ours(number: str, fen: int = 1000, *, kind=PAY, settled=True, that_day=True, txn: str | None = "?") -> Ours:
    return Ours(kind, number, f"T-{number}" if txn == "?" else txn, fen, "CNY", settled, that_day)


@contextmanager
def compared(folder, lines, rows, *, file=TRADE, values=VALUES, trade=(), in_sums=False):
    with closing(Scratch(folder)) as scratch:
        for kind, content in ((TRADE, trade if file is FUND else lines), (FUND, lines if file is FUND else ())):
            numbered = [StatementLine(**{**as_values(x), "line_no": n}) for n, x in enumerate(content, 1)]
            scratch.load(kind, numbered, progress=lambda _: None)
        scratch.add_ours(rows)
        scratch.index_ours()
        scratch.judge(file, {**values, "file": str(file)}, in_sums=in_sums)
        scratch.totals(file)  # raises when a fen is not explained
        yield scratch


def as_values(x: StatementLine) -> dict:
    return {name: getattr(x, name) for name in x.__struct_fields__}


def findings(scratch) -> list[tuple[str, str]]:
    return sorted((f.class_name, f.key) for batch in scratch.found() for f in batch)


CASES = {
    "MATCH": ([line("P1")], [ours("P1")], []),
    "CHANNEL_ONLY": ([line("P1")], [], [("CHANNEL_ONLY", "wechat:T-P1")]),
    "CHANNEL_ONLY without a number": ([line(None, txn="T9")], [], [("CHANNEL_ONLY", "wechat:T9")]),
    "LOCAL_ONLY": ([], [ours("P1")], [("LOCAL_ONLY", "P1")]),
    "of another day, not in this file": ([], [ours("P1", that_day=False)], []),
    "AMOUNT_HIGH": ([line("P1", 1001)], [ours("P1")], [("AMOUNT_HIGH", "P1:T-P1")]),
    "AMOUNT_LOW": ([line("P1", 999)], [ours("P1")], [("AMOUNT_LOW", "P1:T-P1")]),
    "CURRENCY": ([line("P1", currency="USD")], [ours("P1")], [("CURRENCY", "P1:T-P1")]),
    "STATUS_OURS_UNPAID": ([line("P1")], [ours("P1", settled=False, txn=None)], [("STATUS_OURS_UNPAID", "P1")]),
    "STATUS_OURS_PAID_THEIRS_NOT": (
        [line("P1", done=False)], [ours("P1")], [("STATUS_OURS_PAID_THEIRS_NOT", "P1")],
    ),
    "neither paid": ([line("P1", done=False)], [ours("P1", settled=False)], []),
    "SECOND_TRANSACTION": (
        [line("P1"), line("P1", txn="T2")], [ours("P1")], [("SECOND_TRANSACTION", "P1:T2")],
    ),
    "only a second transaction": (
        [line("P1", txn="T2")], [ours("P1")], [("LOCAL_ONLY", "P1"), ("SECOND_TRANSACTION", "P1:T2")],
    ),
    "DUPLICATE_LINE": (
        [line("P1"), line("P1")], [ours("P1")], [("DUPLICATE_LINE", "wechat:2026-11-19:payment:P1")],
    ),
    "not paid, said twice": (
        [line("P1", done=False), line("P1", done=False, txn=None)], [ours("P1")],
        [("DUPLICATE_LINE", "wechat:2026-11-19:payment:P1"), ("STATUS_OURS_PAID_THEIRS_NOT", "P1")],
    ),
    "paid, once without its transaction": (
        [line("P1"), line("P1", txn=None)], [ours("P1")], [("DUPLICATE_LINE", "wechat:2026-11-19:payment:P1")],
    ),
    "paid, of a transaction we never heard of": (
        [line("P1"), line("P1", txn="T2")], [ours("P1", txn=None)], [("DUPLICATE_LINE", "wechat:2026-11-19:payment:P1")],
    ),
    "one refund under two numbers of theirs": (
        [line("R1", kind=BACK), line("R1", kind=BACK, txn="T2")], [ours("R1", kind=BACK)],
        [("DUPLICATE_LINE", "wechat:2026-11-19:refund:R1"), ("MATCH", "R1")],
    ),
    "OTHER_DAY": ([line("P1")], [ours("P1", that_day=False)], [("OTHER_DAY", "P1")]),
    "another application": ([line("P1", ours=False)], [], []),
    "UNKNOWN_LINE": ([line("P1", kind=OTHER)], [], [("UNKNOWN_LINE", "wechat:2026-11-19:trade:1")]),
    "FEE": ([line("P1", fee_fen=7)], [ours("P1")], [("FEE", "wechat:2026-11-19")]),
    "FEE of a refund, a fen off": ([line("R1", kind=BACK, fee_fen=-7)], [ours("R1", kind=BACK)], [("MATCH", "R1")]),
    "FEE of a refund, two off": (
        [line("R1", kind=BACK, fee_fen=-8)], [ours("R1", kind=BACK)], [("FEE", "wechat:2026-11-19"), ("MATCH", "R1")],
    ),
    "refund MATCH": ([line("R1", kind=BACK)], [ours("R1", kind=BACK)], [("MATCH", "R1")]),
    "REFUND_CHANNEL_ONLY": ([line("R1", kind=BACK)], [], [("REFUND_CHANNEL_ONLY", "wechat:R1")]),
    "REFUND_CHANNEL_ONLY, ours failed": (
        [line("R1", kind=BACK)], [ours("R1", kind=BACK, settled=False)], [("REFUND_CHANNEL_ONLY", "wechat:R1")],
    ),
    "REFUND_LOCAL_ONLY": ([], [ours("R1", kind=BACK)], [("REFUND_LOCAL_ONLY", "R1")]),
    "REFUND_LOCAL_ONLY, theirs failed": (
        [line("R1", kind=BACK, done=False)], [ours("R1", kind=BACK)], [("REFUND_LOCAL_ONLY", "R1")],
    ),
    "REFUND_AMOUNT": ([line("R1", 400, kind=BACK)], [ours("R1", 500, kind=BACK)], [("REFUND_AMOUNT", "R1")]),
    "a payment and a refund of one number": (
        [line("X"), line("X", 400, kind=BACK)], [ours("X"), ours("X", 400, kind=BACK)], [("MATCH", "X")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_class(tmp_path, name):
    lines, rows, expected = CASES[name]
    with compared(tmp_path, lines, rows) as scratch:
        assert findings(scratch) == sorted(expected)


def test_the_numbers_of_a_finding(tmp_path):
    with compared(tmp_path, [line("P1", 1200)], [ours("P1"), ours("P2", 5)]) as scratch:
        local, high = [f for batch in scratch.found() for f in batch]
        assert (high.line_no, high.theirs_fen, high.ours_fen, high.happened_at) == (1, 1200, 1000, AT)
        assert (local.line_no, local.theirs_fen, local.ours_fen, local.happened_at) == (0, None, 5, None)
        totals = scratch.totals(TRADE)
    assert (totals.lines, totals.matched, totals.paid_fen, totals.ours_count, totals.ours_fen) == (1, 0, 1200, 2, 1005)


def test_without_a_contract_rate_no_fee_is_judged(tmp_path):
    with compared(tmp_path, [line("P1", fee_fen=99)], [ours("P1")], values={**VALUES, "per_10000": None}) as scratch:
        assert findings(scratch) == []


def test_a_broken_file_leaves_no_line(tmp_path):
    def broken():
        yield line("P1")
        raise StatementInvalid("sum")

    with closing(Scratch(tmp_path)) as scratch:
        with pytest.raises(StatementInvalid):
            scratch.load(TRADE, broken(), progress=lambda _: None)
        assert scratch.totals(TRADE).lines == 0
    assert list(tmp_path.iterdir()) == []


def test_numbers_to_look_up_come_in_order_and_once(tmp_path):
    with compared(
        tmp_path, [line("P3"), line("P1"), line("P1"), line("P2"), line("F", ours=False)], [ours("P2")]
    ) as scratch:
        assert scratch.unknown(PAY, "") == ["P1", "P3"]
        assert scratch.unknown(PAY, "P1") == ["P3"]


numbers = st.sampled_from(["A", "B", "C", None])
any_line = st.builds(
    line, numbers, st.sampled_from([100, 200]), kind=st.sampled_from([PAY, BACK]), txn=st.sampled_from(["?", "T2", None]),
    done=st.booleans(), ours=st.booleans(), fee_fen=st.sampled_from([1, 7]),
)  # fmt: skip
any_ours = st.builds(
    ours, st.sampled_from(["A", "B", "C", "D"]), st.sampled_from([100, 200]), kind=st.sampled_from([PAY, BACK]),
    settled=st.booleans(), that_day=st.booleans(), txn=st.sampled_from(["?", None]),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.data(), st.lists(any_line, max_size=8), st.lists(any_ours, max_size=6, unique_by=lambda o: (o.kind, o.number))
)
def test_any_order_of_lines_gives_the_same_and_every_fen_is_explained(tmp_path_factory, data, lines, rows):
    """Keys of lines without any number name their place, so only the classes are compared for those."""
    shuffled = data.draw(st.permutations(lines))
    with compared(tmp_path_factory.mktemp("a"), lines, rows) as one:
        first, first_totals = Counter(name for name, _ in findings(one)), one.totals(TRADE)
        first_keys = {key for _, key in findings(one) if "-11-19-" not in key}
    with compared(tmp_path_factory.mktemp("b"), shuffled, data.draw(st.permutations(rows))) as other:
        second, second_totals = Counter(name for name, _ in findings(other)), other.totals(TRADE)
        second_keys = {key for _, key in findings(other) if "-11-19-" not in key}
    assert (first, first_totals, first_keys) == (second, second_totals, second_keys)


# -- the account's movements ------------------------------------------------------------------------------------------------


def fund(*movements) -> list[StatementLine]:
    return [
        StatementLine(line_no=0, kind=kind, amount_fen=fen, currency="CNY", happened_at=AT, incoming=incoming, flow_no=f"F{n}",
                      payment_no=number if kind is PAY else None, refund_no=number if kind is BACK else None)
        for n, (kind, number, fen, incoming) in enumerate(movements)
    ]  # fmt: skip


SOLD = [line("P1"), line("R1", 400, kind=BACK)]
MOVED = ((PAY, "P1", 1000, True), (FEE, None, 6, False), (BACK, "R1", 400, False), (FEE, None, 2, True))
FUND_CASES = {
    "MATCH": (MOVED, []),
    "with money out to the bank": ((*MOVED, (BANK, None, 500, False)), []),
    "missing": (MOVED[1:], [("SETTLEMENT_SHORT", "wechat:payment:P1")]),
    "less": (((PAY, "P1", 900, True), *MOVED[1:]), [("SETTLEMENT_SHORT", "wechat:payment:P1")]),
    "more": (((PAY, "P1", 1100, True), *MOVED[1:]), [("SETTLEMENT_OVER", "wechat:payment:P1")]),
    "twice": ((MOVED[0], *MOVED), [("SETTLEMENT_OVER", "wechat:payment:P1")]),
    "unknown": ((*MOVED, (PAY, "P9", 1, True)), [("SETTLEMENT_OVER", "wechat:payment:P9")]),
    "refund took more": (
        (*MOVED[:2], (BACK, "R1", 500, False), MOVED[3]), [("SETTLEMENT_SHORT", "wechat:refund:R1")],
    ),
    "refund took nothing": ((*MOVED[:2], MOVED[3]), [("SETTLEMENT_OVER", "wechat:refund:R1")]),
    "fee": ((MOVED[0], (FEE, None, 8, False), *MOVED[2:]), [("FEE", "wechat:2026-11-19:account")]),
    "nothing at all": ((), [("SETTLEMENT_SHORT", "wechat:2026-11-19")]),
    "something new": ((*MOVED, (OTHER, None, 1, False)), [("UNKNOWN_LINE", "wechat:2026-11-19:fund:5")]),
}  # fmt: skip


@pytest.mark.parametrize("name", FUND_CASES)
def test_the_account_against_the_trade_bill(tmp_path, name):
    movements, expected = FUND_CASES[name]
    with compared(tmp_path, fund(*movements), [], file=FUND, trade=SOLD) as scratch:
        assert findings(scratch) == sorted(expected)


def test_a_day_without_trade_and_without_movements(tmp_path):
    with compared(tmp_path, [], [], file=FUND, trade=[]) as scratch:
        assert findings(scratch) == []


def test_what_went_to_the_bank(tmp_path):
    moves = fund(*MOVED, (BANK, None, 500, False), (BANK, None, 500, True))
    with compared(tmp_path, moves, [], file=FUND, trade=SOLD) as scratch:
        assert list(scratch.movements()) == [[("F4", 500, False, AT), ("F5", 500, True, AT)]]
        assert scratch.fees() == 4


@pytest.mark.parametrize(("paid", "classes"), [(596, []), (595, ["SETTLEMENT_SHORT"]), (597, ["SETTLEMENT_OVER"])])
def test_a_channel_that_pays_a_day_out_in_one_sum(tmp_path, paid, classes):
    moves = fund((BANK, None, paid, False))
    with compared(tmp_path, moves, [], file=FUND, trade=SOLD, in_sums=True) as scratch:
        assert [name for name, _ in findings(scratch)] == classes


async def test_a_cancelled_load_ends_before_the_file_is_closed(tmp_path):
    """The thread that reads may not find its database gone: closing waits for it, and it ends at its next batch."""
    begun, ended = threading.Event(), []

    def endless():
        n = 0
        while True:
            n += 1
            begun.set()
            yield line(f"P{n}", line_no=n)

    async def work():
        async with Desk.opened(tmp_path) as desk:
            try:
                await desk.do(desk.scratch.load, TRADE, endless(), progress=lambda _: None)
            finally:
                ended.append(True)

    task = asyncio.ensure_future(work())
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    assert ended and list(tmp_path.iterdir()) == []
