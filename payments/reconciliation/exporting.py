"""A day's report as a file for finance: xlsx or csv, Chinese headers, amounts in yuan, and no cell that a program would run."""

import asyncio
import csv
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

from kernel import clock
from payments.money import yuan_text
from payments.reconciliation import reports
from payments.reconciliation.reports import CHANNELS, KINDS, DifferenceView, RunView

RUN_HEADERS = (
    "渠道", "日期", "账单", "状态", "行数", "相符", "跨日相符", "其他应用", "差异", "渠道收款（元）", "渠道退款（元）", "手续费（元）", "本系统净额（元）",
)  # fmt: skip
DIFFERENCE_HEADERS = (
    "编号", "日期", "渠道", "类别", "状态", "严重", "负责人", "支付编号", "本系统金额（元）", "渠道金额（元）", "说明", "处理结果", "经办人", "复核人",
    "发现时间", "处理时间",
)  # fmt: skip
# A spreadsheet runs what begins with these, and with a tab or a line break that hides them.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_AMOUNTS = {"runs": range(9, 13), "differences": range(8, 10)}


async def export(*, channel: str, day: date, to: Path) -> int:
    """Writes `.xlsx` or `.csv` by the name's ending and answers the number of differences. Raises NotFound, ValueError."""
    report = await reports.day_report(channel=channel, day=day)
    runs = [_run_row(run) for run in report.runs]
    rows = [_difference_row(d) async for d in reports.differences_of(channel=channel, day=day)]
    signed = ["签字", *report.signers] if report.signers else ["尚未签字"]
    if to.suffix == ".xlsx":
        await asyncio.to_thread(_xlsx, to, runs, rows, signed)
    elif to.suffix == ".csv":
        await asyncio.to_thread(_csv, to, runs, rows, signed)
    else:
        raise ValueError("文件名须以 .xlsx 或 .csv 结尾")
    return len(rows)


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula: a leading apostrophe is shown by none and runs nothing."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def _run_row(run: RunView) -> list[str | int]:
    return [
        CHANNELS.get(run.channel, run.channel), run.day.isoformat(), KINDS.get(run.kind, run.kind),
        f"{run.label}：{run.reason}" if run.reason else run.label, run.lines, run.matched, run.other_day, run.foreign,
        run.differences, yuan_text(run.paid_fen), yuan_text(run.refunded_fen), yuan_text(run.fees_fen), yuan_text(run.ours_fen),
    ]  # fmt: skip


def _difference_row(d: DifferenceView) -> list[str | int]:
    return [
        d.number, d.day.isoformat() if d.day else "", CHANNELS.get(d.channel, d.channel), d.label, d.state_label,
        "是" if d.critical else "", d.owner, d.payment_no or "", "" if d.ours_fen is None else yuan_text(d.ours_fen),
        "" if d.theirs_fen is None else yuan_text(d.theirs_fen), d.detail, d.resolution or "", d.resolved_by or "",
        d.approved_by or "", f"{clock.local(d.since_at):%Y-%m-%d %H:%M:%S}",
        f"{clock.local(d.resolved_at):%Y-%m-%d %H:%M:%S}" if d.resolved_at else "",
    ]  # fmt: skip


def _csv(
    to: Path, runs: Sequence[Sequence[str | int]], rows: Sequence[Sequence[str | int]], signed: Sequence[str]
) -> None:
    """With a BOM, because the spreadsheet program of an office reads it as GBK otherwise."""
    with to.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        for headers, content, amounts in (
            (RUN_HEADERS, runs, _AMOUNTS["runs"]),
            (DIFFERENCE_HEADERS, rows, _AMOUNTS["differences"]),
        ):
            writer.writerow(headers)
            writer.writerows(
                [
                    cell if isinstance(cell, int) or n in amounts else safe(cell) for n, cell in enumerate(row)
                ]
                for row in content
            )  # fmt: skip
            writer.writerow([])
        writer.writerow([safe(cell) for cell in signed])


def _xlsx(
    to: Path, runs: Sequence[Sequence[str | int]], rows: Sequence[Sequence[str | int]], signed: Sequence[str]
) -> None:
    """Row by row, so that the memory does not grow with the report; text cells are written as text, whatever they hold."""
    import xlsxwriter

    with xlsxwriter.Workbook(
        to, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "0.00"})
        for name, headers, content, amounts in (
            ("对账结果", RUN_HEADERS, runs, _AMOUNTS["runs"]),
            ("差异明细", DIFFERENCE_HEADERS, rows, _AMOUNTS["differences"]),
        ):
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            sheet.set_column(0, len(headers) - 1, 16)
            sheet.write_row(0, 0, headers, bold)
            for line, row in enumerate(content, 1):
                for column, cell in enumerate(row):
                    if column in amounts and cell != "":
                        sheet.write_number(line, column, Decimal(str(cell)), money)
                    elif isinstance(cell, int):
                        sheet.write_number(line, column, cell)
                    else:
                        sheet.write_string(line, column, safe(cell))
        sheet = book.add_worksheet("签字")
        for line, cell in enumerate(signed):
            sheet.write_string(line, 0, safe(cell))
