"""Commands for people until the staff console exists: everything that is parked, and what only a person may conclude."""

import argparse
from datetime import date, datetime, time

import payments
from backend.catalog import importer
from backend.commands.terminal import Commands, opened, say
from backend.onewindow import queries as onewindow
from kernel import clock


async def run_parked(arguments: argparse.Namespace) -> None:
    """What the one-window platform refused, decisions it left unclear, and money that a person must look at."""
    async with opened():
        lines = await _parked()
    for line in lines:
        say(line)
    say(f"{len(lines)} 件等待处理" if lines else "没有等待处理的报送、事件和资金")


async def _parked() -> list[str]:
    lines = [f"转送 {row.ref}  {row.case_no}  {row.verb}  {row.code}  {row.note}" for row in await onewindow.parked()]
    for review in await onewindow.for_review():
        lines.append(f"事件 {review.project_no}:{review.seq}  {review.case_no or ''}  {review.type}  {review.note}")
    for difference in await payments.open_differences():
        lines.append(f"资金  {difference['class']}  {difference['payment_no'] or ''}  {difference['detail']}")
    for refund in await payments.refunds_for_people():
        lines.append(
            f"退款  {refund.refund_no}  {refund.amount_fen // 100}.{refund.amount_fen % 100:02d} 元  {refund.label}  "
            f"{refund.cause_label}  {refund.last_error or ''}"
        )
    return lines


async def run_unpaid(arguments: argparse.Namespace) -> None:
    """A payment the channel never answered about is closed with a document as proof."""
    async with opened():
        await payments.conclude_closed(
            payment_no=arguments.payment_no, actor=arguments.clerk, document=arguments.document
        )
    say(f"支付 {arguments.payment_no} 已按未支付关闭；如果钱款之后到账，会自动转为应退")


async def run_reopen_bill(arguments: argparse.Namespace) -> None:
    """An expired bill takes money again until the end of a day."""
    async with opened():
        until = datetime.combine(arguments.until, time(23, 59, 59), tzinfo=clock.SHANGHAI)
        await payments.reopen_bill(bill_no=arguments.bill_no, expires_at=until, actor=arguments.clerk)
    say(f"缴费单 {arguments.bill_no} 已重新开通，请通知群众在 {arguments.until} 前缴费")


async def run_withdraw_item(arguments: argparse.Namespace) -> None:
    """Takes an item out of force; cases opened before finish under their version."""
    async with opened():
        await importer.withdraw_item(
            item_code=arguments.item_code, author=arguments.clerk, reason=arguments.reason, on=arguments.on
        )
    say(f"事项 {arguments.item_code} 已停办")


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    commands.add_parser("parked", help="转送被拒、待确认的办结、待处理的资金差异").set_defaults(run=run_parked)
    unpaid = commands.add_parser("conclude-unpaid", help="凭对账单等依据，把渠道始终没有答复的支付按未支付关闭")
    unpaid.add_argument("payment_no", help="支付编号")
    unpaid.add_argument("--document", required=True, help="依据，例如某日对账单编号")
    unpaid.add_argument("--clerk", required=True, help="经办人姓名")
    unpaid.set_defaults(run=run_unpaid)
    bill = commands.add_parser("reopen-bill", help="重新开通一张已过期的缴费单")
    bill.add_argument("bill_no", help="缴费单编号")
    bill.add_argument("--until", type=date.fromisoformat, required=True, help="缴到哪天为止，写成 2026-01-31")
    bill.add_argument("--clerk", required=True, help="经办人姓名")
    bill.set_defaults(run=run_reopen_bill)
    item = commands.add_parser("withdraw-item", help="停办一个事项（已开的办件按原版本办完）")
    item.add_argument("item_code", help="事项代码")
    item.add_argument("--reason", required=True, help="原因或文号")
    item.add_argument("--on", type=date.fromisoformat, default=None, help="从哪天起，写成 2026-01-31；默认今天")
    item.add_argument("--clerk", required=True, help="经办人姓名")
    item.set_defaults(run=run_withdraw_item)
