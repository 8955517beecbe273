"""Commands about refunds: what waits, asking, the second person's decision, and what only people do when the channel cannot."""

import argparse
import getpass
import sys

import payments
from backend.commands.terminal import Commands, Refused, opened, say
from kernel import clock
from payments.money import fen_from_yuan, yuan_text


async def run_list(arguments: argparse.Namespace) -> None:
    """All refunds, newest first, or only those that wait for a person."""
    async with opened():
        if arguments.waiting:
            rows = await payments.refunds_for_people()
        else:
            rows, _ = await payments.refunds_page(state=arguments.state, limit=arguments.limit)
    for row in rows:
        say(_line(row))
        note = "，".join(part for part in (row.reason, row.rule_ref, row.last_error) if part)
        if note:
            say(f"    {note}")
    say(f"{len(rows)} 笔退款" + ("等待处理" if arguments.waiting else ""))


async def run_ask(arguments: argparse.Namespace) -> None:
    """One person asks; nothing moves before another approves."""
    async with opened():
        refund_no = await payments.request_refund(
            payment_no=arguments.payment_no, amount_fen=_fen(arguments.yuan), cause=arguments.cause,
            reason=arguments.reason, requested_by=arguments.clerk, rule_ref=arguments.rule,
            way="offline" if arguments.offline else "channel",
        )  # fmt: skip
    say(f"已申请退款 {refund_no}，请另一位工作人员用 refund approve 批准")


async def run_approve(arguments: argparse.Namespace) -> None:
    """Another person agrees."""
    async with opened():
        await payments.approve_refund(refund_no=arguments.refund_no, approved_by=arguments.clerk)
    say(f"退款 {arguments.refund_no} 已批准，系统会自动退回")


async def run_deny(arguments: argparse.Namespace) -> None:
    """A person refuses it, or takes an approval back before anything was sent."""
    async with opened():
        await payments.deny_refund(refund_no=arguments.refund_no, denied_by=arguments.clerk, reason=arguments.reason)
    say(f"退款 {arguments.refund_no} 已拒绝")


async def run_retry(arguments: argparse.Namespace) -> None:
    """A failed refund gets a new number; one that nobody heard of is asked about again."""
    async with opened():
        refund_no = await payments.retry_refund(
            refund_no=arguments.refund_no, requested_by=arguments.clerk,
            way="offline" if arguments.offline else "channel",
        )  # fmt: skip
    say("已重新向支付渠道查询" if refund_no == arguments.refund_no else f"已重新发起，新的退款编号 {refund_no}")


async def run_offline(arguments: argparse.Namespace) -> None:
    """The unit paid an abnormal refund from its bank account."""
    async with opened():
        await payments.record_offline_refund(
            refund_no=arguments.refund_no, document=arguments.document, recorded_by=arguments.clerk,
            approved_by=arguments.approver,
        )  # fmt: skip
    say(f"退款 {arguments.refund_no} 已登记为线下退款")


async def run_abnormal(arguments: argparse.Namespace) -> None:
    """Sends an abnormal refund on; a card number comes from the keyboard, never from the command line's history."""
    account = holder = ""
    if arguments.bank:
        if not sys.stdin.isatty():
            raise Refused("退到银行卡时，卡号和户名要在终端里输入")
        account, holder = getpass.getpass("银行卡号（不显示）："), getpass.getpass("户名（不显示）：")
    async with opened():
        await payments.repair_abnormal_refund(
            refund_no=arguments.refund_no, actor=arguments.clerk, bank_type=arguments.bank or "", account=account,
            holder=holder,
        )  # fmt: skip
    say("已请支付渠道重新付款，结果用 refund list 查看")


async def run_adopt(arguments: argparse.Namespace) -> None:
    """Registers a refund that was made by hand on the merchant site."""
    async with opened():
        refund_no = await payments.adopt_refund(
            refund_no=arguments.refund_no, payment_no=arguments.payment_no, reason=arguments.reason,
            requested_by=arguments.clerk,
        )  # fmt: skip
    say(f"已登记 {refund_no}，请另一位工作人员用 refund approve 批准")


async def run_explain(arguments: argparse.Namespace) -> None:
    """Says whom money belongs to that did not fit its payment."""
    async with opened():
        fen = await payments.explain_suspense(
            payment_no=arguments.payment_no, to=arguments.to, document=arguments.document, actor=arguments.clerk,
            approved_by=arguments.approver,
        )  # fmt: skip
    said = "已用于缴费单，多出的部分会自动退回" if arguments.to == "bill" else "会自动退回缴费人"
    say(f"{yuan_text(fen)} 元{said}")


def _line(row: payments.RefundRow) -> str:
    since = clock.local(row.since_at)
    decided = f"  批准 {row.decided_by}" if row.decided_by else ""
    return (
        f"{row.refund_no}  {since:%m-%d %H:%M}  {yuan_text(row.amount_fen)} 元  {row.label}  {row.cause_label}  "
        f"支付 {row.payment_no}  申请 {row.requested_by}{decided}"
    )


def _fen(yuan: str | None) -> int | None:
    try:
        return None if yuan is None else fen_from_yuan(yuan)
    except ValueError:
        raise Refused("金额要写成元，最多两位小数，例如 10.00") from None


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    top = commands.add_parser("refund", help="退款：查看、申请、批准、拒绝、重试、线下退款、异常退款")
    acts = top.add_subparsers(dest="act", required=True, metavar="操作")
    listed = acts.add_parser("list", help="查看退款")
    listed.add_argument("--waiting", action="store_true", help="只看等人处理的")
    listed.add_argument("--state", help="只看一种状态，例如 abnormal")
    listed.add_argument("--limit", type=int, default=50, help="最多显示多少笔")
    listed.set_defaults(run=run_list)
    ask = _act(acts, "ask", "申请退款", run_ask, number="payment_no")
    ask.add_argument("--yuan", help="退多少元；默认退全部余额")
    ask.add_argument("--cause", choices=("operator", "mistake", "transfer", "request"), default="operator", help="原因")
    ask.add_argument("--reason", required=True, help="理由")
    ask.add_argument("--rule", help="依据的文件或条款")
    ask.add_argument("--offline", action="store_true", help="渠道不能原路退回时，改为线下退款")
    _act(acts, "approve", "批准退款（不能是申请人）", run_approve)
    deny = _act(acts, "deny", "拒绝退款，或在发出前撤回批准", run_deny)
    deny.add_argument("--reason", required=True, help="理由")
    retry = _act(acts, "retry", "失败的退款重新发起，没有答复的重新查询", run_retry)
    retry.add_argument("--offline", action="store_true", help="改为线下退款")
    offline = _act(acts, "offline", "登记异常退款已由单位线下付款", run_offline, approver=True)
    offline.add_argument("--document", required=True, help="付款凭证，例如银行回单编号")
    abnormal = _act(acts, "abnormal", "请支付渠道把异常退款付到银行卡或商户账户", run_abnormal)
    abnormal.add_argument("--bank", help="付到缴费人银行卡时的银行类型，例如 ICBC_DEBIT；不写则退到商户银行卡")
    adopt = _act(acts, "adopt", "登记在商户平台手工做的退款", run_adopt)
    adopt.add_argument("--payment", dest="payment_no", required=True, help="支付编号")
    adopt.add_argument("--reason", required=True, help="理由")
    explain = _act(acts, "explain", "查明待查款项的去向", run_explain, number="payment_no", approver=True)
    explain.add_argument("--to", choices=("bill", "payer"), required=True, help="bill 用于缴费单，payer 全部退回")
    explain.add_argument("--document", required=True, help="依据")


def _act(
    acts: Commands, name: str, text: str, run: object, *, number: str = "refund_no", approver: bool = False
) -> argparse.ArgumentParser:
    act: argparse.ArgumentParser = acts.add_parser(name, help=text)
    act.add_argument(number, help="支付编号" if number == "payment_no" else "退款编号")
    act.add_argument("--clerk", required=True, help="经办人姓名")
    if approver:
        act.add_argument("--approver", required=True, help="复核人姓名，不能是经办人")
    act.set_defaults(run=run)
    return act
