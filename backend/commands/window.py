"""Commands about the one-window platform: our items in its words, and what to do with a parked message or an unclear decision."""

import argparse
import sys
from pathlib import Path

import msgspec

from backend.cases.ports import Outcome
from backend.commands.terminal import Commands, Refused, opened, say
from backend.onewindow import catalogue, feedback, forwarding


async def run_tasks(arguments: argparse.Namespace) -> None:
    """Writes every item in force as the platform's `task.get` has it."""
    async with opened():
        items = await catalogue.tasks()
    text = msgspec.json.format(msgspec.json.encode({"items": items}), indent=1).decode()
    if arguments.to is None:
        sys.stdout.write(text + "\n")
        return
    arguments.to.write_text(text + "\n", encoding="utf-8")
    say(f"已写出 {len(items)} 个事项：{arguments.to}")


async def run_resend(arguments: argparse.Namespace) -> None:
    """Sends a parked message again."""
    async with opened():
        await forwarding.resend(ref=arguments.ref, operator=arguments.clerk, reason=arguments.note)
        say("已重新排队发送")


async def run_confirm(arguments: argparse.Namespace) -> None:
    """Says what an unclear decision means."""
    project_no, _, seq = arguments.event.rpartition(":")
    if not project_no or not seq.isdigit():
        raise Refused("事件要写成 平台办件编号:序号")
    async with opened():
        await feedback.confirm_result(
            project_no=project_no, seq=int(seq), outcome=Outcome(arguments.outcome), operator=arguments.clerk
        )
        say("已确认办结结果")


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    tasks = commands.add_parser("tasks", help="按一窗平台的格式写出本地事项（沙箱和平台据此核对）")
    tasks.add_argument("--to", type=Path, default=None, metavar="文件", help="写到文件，不写则显示在屏幕上")
    tasks.set_defaults(run=run_tasks)
    again = commands.add_parser("resend", help="重新发送一条被一窗平台退回或送不到的报送")
    again.add_argument("ref", metavar="报送编号", help="见 parked 列表")
    again.add_argument("--clerk", required=True, metavar="姓名", help="经办人")
    again.add_argument("--note", required=True, metavar="原因", help="为什么可以重发")
    again.set_defaults(run=run_resend)
    confirm = commands.add_parser("confirm-result", help="人工确认含义不明确的办结结果")
    confirm.add_argument("event", metavar="平台办件编号:序号")
    confirm.add_argument("outcome", choices=[outcome.value for outcome in Outcome])
    confirm.add_argument("--clerk", required=True, metavar="姓名", help="经办人")
    confirm.set_defaults(run=run_confirm)
