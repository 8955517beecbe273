"""Commands of the finance office: fetching and comparing a day, reading differences, ending them, signing, exporting."""

import argparse
from datetime import date, timedelta
from pathlib import Path

import payments
from backend.commands.terminal import Commands, Refused, opened, say
from kernel import clock
from payments import reconciliation as recon
from payments.reconciliation import DifferenceView, RunView


def _yuan(fen: int | None) -> str:
    return "—" if fen is None else f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


async def run_reconcile(arguments: argparse.Namespace) -> int:
    """Does what the word after `reconcile` says; without one it fetches and compares a day."""
    async with opened():
        work = {None: _run, "list": _list, "show": _show, "resolve": _resolve, "sign": _sign, "export": _export}
        return await work[arguments.what](arguments)


async def _run(arguments: argparse.Namespace) -> int:
    day = arguments.day or clock.today() - timedelta(days=1)
    if day >= clock.today():
        raise Refused("只能核对昨天及以前的账单")
    unfinished = 0
    for channel in _channels(arguments.channel):
        runs = await recon.reconcile(channel=channel, day=day, again=arguments.again, progress=say)
        if not runs:
            say(f"{recon.CHANNELS.get(channel, channel)} 没有可下载的账单")
        report = await recon.day_report(channel=channel, day=day) if runs else None
        for run in report.runs if report else []:
            say(_run_line(run))
            unfinished += run.state not in ("matched", "closed")
    return 1 if unfinished else 0


def _channels(wanted: str) -> tuple[str, ...]:
    known = payments.channels_with_statements()
    if wanted != "all" and wanted not in known:
        raise Refused(f"渠道 {wanted} 没有启用或没有账单")
    return known if wanted == "all" else (wanted,)


def _run_line(run: RunView) -> str:
    sums = f"{run.lines} 行，相符 {run.matched}，差异 {run.differences}，收款 {_yuan(run.paid_fen)}，退款 {_yuan(run.refunded_fen)}"
    why = f"（{run.reason}）" if run.reason else ""
    return f"{run.day}  {run.channel}  {run.kind}  {run.label}{why}  {sums}，手续费 {_yuan(run.fees_fen)}"


async def _list(arguments: argparse.Namespace) -> int:
    for report in await recon.days(limit=arguments.days):
        for run in report.runs:
            say(_run_line(run))
        say(f"    未处理差异 {report.unfinished} 条，签字：{'、'.join(report.signers) or '无'}")
    rows = await recon.unfinished()
    for row in rows:
        say(_difference_line(row))
    say(f"{len(rows)} 条差异等待处理" if rows else "没有等待处理的差异")
    return 0


def _difference_line(row: DifferenceView) -> str:
    mark = "！" if row.critical else "  "
    return (
        f"{mark}{row.number}  {row.day or ''}  {row.channel}  {row.label}  {row.state_label}  {row.owner}  {row.payment_no or ''}  "
        f"我方 {_yuan(row.ours_fen)}  渠道 {_yuan(row.theirs_fen)}  {row.detail}"
    )


async def _show(arguments: argparse.Namespace) -> int:
    if arguments.number is not None:
        row = await recon.difference(arguments.number)
        say(_difference_line(row))
        if row.resolution:
            say(f"    处理：{row.resolution}（经办 {row.resolved_by or '系统'}，复核 {row.approved_by or '—'}）")
        return 0
    if arguments.day is None:
        raise Refused("请写差异编号，或用 --day 写日期")
    for channel in _channels(arguments.channel):
        report = await recon.day_report(channel=channel, day=arguments.day)
        for run in report.runs:
            say(_run_line(run))
        async for row in recon.differences_of(channel=channel, day=arguments.day):
            say(_difference_line(row))
    return 0


async def _resolve(arguments: argparse.Namespace) -> int:
    number, clerk = arguments.number, arguments.clerk
    if arguments.approve or arguments.refuse:
        await recon.approve(difference_id=number, actor=clerk, agree=arguments.approve)
        say(f"差异 {number} {'已复核通过' if arguments.approve else '已退回重新处理'}")
    elif arguments.assign is not None:
        await recon.assign(difference_id=number, owner=arguments.assign)
        say(f"差异 {number} 由 {arguments.assign} 负责")
    elif arguments.note is not None:
        state = await recon.resolve(difference_id=number, resolution=arguments.note, actor=clerk)
        say(f"差异 {number} " + ("已处理" if state == "resolved" else "已提出处理意见，须另一人用 --approve 复核"))
    else:
        raise Refused("请用 --note 写明处理结果，或用 --approve、--refuse 复核，或用 --assign 指定负责人")
    return 0


async def _sign(arguments: argparse.Namespace) -> int:
    count = await recon.sign(channel=arguments.channel, day=arguments.day, signer=arguments.clerk)
    say("两人已签字，当日关账" if count >= 2 else "已签字，须另一人再签一次才关账")
    return 0


async def _export(arguments: argparse.Namespace) -> int:
    try:
        count = await recon.export(channel=arguments.channel, day=arguments.day, to=arguments.to)
    except ValueError as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"写不了 {arguments.to}：{error.strerror}") from None
    say(f"已写出 {arguments.to}，差异 {count} 条")
    return 0


def add(commands: Commands) -> None:
    """Declares `reconcile` and the words after it."""
    top = commands.add_parser("reconcile", help="与支付渠道对账：取账单、比对、处理差异、签字、导出")
    _day_and_channel(top, default="all", needed=False)
    top.add_argument("--again", action="store_true", help="已对过的也重新取账单比对")
    top.set_defaults(run=run_reconcile, what=None)
    words = top.add_subparsers(dest="what", metavar="操作")
    listed = words.add_parser("list", help="最近几天的对账结果和等待处理的差异")
    listed.add_argument("--days", type=int, default=14, help="看最近几天，默认 14")
    show = words.add_parser("show", help="看一条差异，或一天的全部差异")
    show.add_argument("number", type=int, nargs="?", default=None, metavar="差异编号")
    _day_and_channel(show, default="all", needed=False)
    resolve = words.add_parser("resolve", help="处理一条差异；涉及资金的须另一人复核")
    resolve.add_argument("number", type=int, metavar="差异编号")
    resolve.add_argument("--note", default=None, metavar="说明", help="怎样处理的，凭什么")
    resolve.add_argument("--approve", action="store_true", help="复核通过")
    resolve.add_argument("--refuse", action="store_true", help="复核不通过，退回")
    resolve.add_argument("--assign", default=None, metavar="姓名", help="指定负责人")
    resolve.add_argument("--clerk", required=True, metavar="姓名", help="经办人或复核人")
    sign = words.add_parser("sign", help="在一天的对账报表上签字，两人签字后关账")
    _day_and_channel(sign, default=None, needed=True)
    sign.add_argument("--clerk", required=True, metavar="姓名", help="签字人")
    export = words.add_parser("export", help="导出一天的对账报表（xlsx 或 csv）")
    _day_and_channel(export, default=None, needed=True)
    export.add_argument("--to", type=Path, required=True, metavar="文件", help="以 .xlsx 或 .csv 结尾")


def _day_and_channel(parser: argparse.ArgumentParser, *, default: str | None, needed: bool) -> None:
    parser.add_argument(
        "--day",
        type=date.fromisoformat,
        default=None,
        required=needed,
        metavar="日期",
        help="写成 2026-01-31；默认昨天",
    )
    choices = [*recon.CHANNELS, *(["all"] if default == "all" else [])]
    parser.add_argument("--channel", choices=choices, default=default, required=needed, help="支付渠道")
