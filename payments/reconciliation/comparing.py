"""One day of one channel: fetch its files, read them, hold them against the books, write down what differs. Safe to repeat."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import structlog

from kernel import clock, storage
from payments import runtime
from payments.gateways.statement_port import (
    Fetched,
    LineKind,
    NotFetched,
    StatementInvalid,
    StatementKind,
    StatementPort,
)
from payments.reconciliation import findings, own_rows, runs, settling, workplace
from payments.reconciliation.models import ReconRun
from payments.reconciliation.scratch import Desk
from payments.reconciliation.states import COMPARED, TRYING, RunAction

log = structlog.get_logger(__name__)

_BROKEN_SECONDS, _EVERY = 1800, 100_000
Progress = Callable[[str], None]


@dataclass(kw_only=True)
class _Day:
    """Everything the work on one day needs."""

    channel: str
    day: date
    port: StatementPort
    runs: dict[StatementKind, ReconRun]
    claim: str
    folder: Path
    desk: Desk
    progress: Progress
    loaded: set[StatementKind]
    renewed: bool = False  # the trade bill was compared anew, so the account must be held against it again

    async def stay(self, text: str) -> None:
        """Keeps the claim and tells whoever watches."""
        await runs.keep(self.runs, self.claim)
        self.progress(text)


async def compare_day(
    *, channel: str, day: date, again: bool = False, progress: Progress = lambda _: None
) -> list[ReconRun]:
    """Brings every file of a day as far as it goes now. A file that was compared is left alone, unless it is wanted `again`.

    Fetched again with the same content it also stays as it is. Raises ChannelUnavailable, DayBusy.
    """
    port = runtime.gateway(channel).statements
    if port is None:
        return []
    day_runs = await runs.of_day(channel, day, port.kinds)
    if not again and all(run.state in COMPARED for run in day_runs.values()):
        return list(day_runs.values())
    async with _opened(channel, day, port, day_runs, progress) as work:
        for kind in port.kinds:
            if again or work.runs[kind].state not in COMPARED:
                await _file(work, kind)
            if work.runs[kind].state not in COMPARED:
                break  # the account cannot be held against a trade bill that is not there
    return list(work.runs.values())


@asynccontextmanager
async def _opened(
    channel: str, day: date, port: StatementPort, day_runs: dict[StatementKind, ReconRun], progress: Progress
) -> AsyncIterator[_Day]:
    claim = await runs.take(day_runs)
    try:
        async with workplace.opened(channel, day) as folder, Desk.opened(folder) as desk:
            yield _Day(
                channel=channel, day=day, port=port, runs=await runs.of_day(channel, day, port.kinds), claim=claim,
                folder=folder, desk=desk, progress=progress, loaded=set(),
            )  # fmt: skip
    finally:
        await runs.release(day_runs, claim)


async def _file(work: _Day, kind: StatementKind) -> None:
    run = work.runs[kind]
    await work.stay(f"{work.day} {work.channel} {kind}：取账单")
    got = await work.port.fetch(day=work.day, kind=kind, into=work.folder)
    unchanged = isinstance(got, Fetched) and got.sha256 == run.sha256 and not work.renewed
    if run.state in COMPARED and (unchanged or not isinstance(got, Fetched)):
        await work.stay("内容未变" if unchanged else "没有取到新的账单，保留原结果")
        return
    if run.state not in TRYING:
        await runs.step(run, RunAction.AGAIN)
    if isinstance(got, NotFetched):
        await _not_fetched(work, run, got)
        return
    await runs.step(run, RunAction.FETCH, sha256=got.sha256, proof=got.proof, reason=None)
    if await _load(work, kind, got.path):
        key = storage.new_key("statement")
        await storage.put(key, got.path)
        await runs.step(run, RunAction.PARSE, file_key=key)
        await _judge(work, kind)


async def _not_fetched(work: _Day, run: ReconRun, got: NotFetched) -> None:
    if got.reason == "none":
        await runs.step(run, RunAction.NONE_EXISTS, reason=None, sha256=None, file_key=None)
        await work.desk.do(work.desk.scratch.load, StatementKind(run.kind), (), progress=lambda _: None)
        work.loaded.add(StatementKind(run.kind))
        await _judge(work, StatementKind(run.kind))
        return
    broken = got.reason in ("bad-hash", "too-large")
    await runs.again_later(
        run, RunAction.BREAK if broken else RunAction.NOT_READY, reason=got.reason,
        seconds=got.again_seconds or _BROKEN_SECONDS,
    )  # fmt: skip


async def _load(work: _Day, kind: StatementKind, path: Path) -> bool:
    """Reads a file into the scratch tables. A broken one leaves nothing there and fails the run."""

    def told(lines: int) -> None:
        if lines % _EVERY == 0:
            work.progress(f"已读 {lines} 行")

    try:
        total = await work.desk.do(work.desk.scratch.load, kind, work.port.lines(path, kind), progress=told)
    except StatementInvalid as error:
        await runs.again_later(work.runs[kind], RunAction.BREAK, reason=str(error), seconds=_BROKEN_SECONDS)
        return False
    work.loaded.add(kind)
    await work.stay(f"共 {total} 行")
    return True


async def _judge(work: _Day, kind: StatementKind) -> None:
    run = work.runs[kind]
    if kind is StatementKind.TRADE:
        await _load_ours(work)
    else:
        await _trade_lines_again(work)
    await work.desk.do(work.desk.scratch.index_ours)
    values = {
        "channel": work.channel, "day": work.day.isoformat(), "file": kind.value,
        "per_10000": runtime.settings().fee_per_10000(work.channel),
    }  # fmt: skip
    await work.desk.do(work.desk.scratch.judge, kind, values, in_sums=work.port.settles_in_sums)
    # Raises when a fen is not explained: nothing is written then.
    totals = await work.desk.do(work.desk.scratch.totals, kind)
    await findings.forget_lines(run)
    counts: Counter[str] = Counter()
    async for batch in work.desk.batches(work.desk.scratch.found()):
        counts += await findings.keep(run, batch)
        await work.stay(f"已记 {counts.total()} 条差异")
    if run.matched_at is not None:
        await findings.heal(run, work.desk)
        work.renewed = True
    fees_fen = totals.fees_fen
    if kind is StatementKind.FUND:
        fees_fen = await settling.post(work.channel, work.day, work.desk)
    differences = counts.total()
    await runs.step(
        run, RunAction.FIND_DIFFERENCES if differences else RunAction.FIND_NOTHING, line_count=totals.lines,
        matched_count=totals.matched, other_day_count=totals.other_day, foreign_count=totals.foreign,
        difference_count=differences, ours_count=totals.ours_count, paid_fen=totals.paid_fen,
        refunded_fen=totals.refunded_fen, fees_fen=fees_fen, ours_fen=totals.ours_fen, matched_at=clock.now(),
        next_try_at=None, tries=0,
    )  # fmt: skip


async def _load_ours(work: _Day) -> None:
    """First the day's rows, then whatever else the file names: unpaid ones, and those of other days."""
    scratch = work.desk.scratch
    for of_day in (own_rows.payments_of, own_rows.refunds_of):
        async for page in of_day(work.channel, work.day):
            await work.desk.do(scratch.add_ours, page)
    await work.desk.do(scratch.index_ours)
    for kind, named in ((LineKind.PAYMENT, own_rows.payments_named), (LineKind.REFUND, own_rows.refunds_named)):
        after = ""
        while numbers := await work.desk.do(scratch.unknown, kind, after):
            await work.desk.do(scratch.add_ours, await named(work.channel, numbers))
            after = numbers[-1]
    await work.stay("本方数据已备齐")


async def _trade_lines_again(work: _Day) -> None:
    """The account is held against the day's trade bill; when that was compared earlier, its kept file is read again."""
    key = work.runs[StatementKind.TRADE].file_key
    if StatementKind.TRADE in work.loaded or key is None:  # None: there was none that day
        return
    path = work.folder / "trade-again"
    with path.open("wb") as file:
        async for piece in storage.open(key):
            file.write(piece)
    lines = work.port.lines(path, StatementKind.TRADE)
    await work.desk.do(work.desk.scratch.load, StatementKind.TRADE, lines, progress=lambda _: None)
    work.loaded.add(StatementKind.TRADE)
