"""Commands about the database: schema, catalogue, the outbox's dead list, the ledger."""

import argparse
from datetime import datetime
from pathlib import Path

import payments
from backend import seed
from backend.commands.terminal import Commands, Refused, opened, say
from backend.wiring import APPS
from kernel import clock, config, makemigrations, migrate, outbox
from kernel.settings import DatabaseSettings, DeploymentSettings


async def run_migrate(arguments: argparse.Namespace) -> None:
    """Builds or upgrades the schema."""
    try:
        await migrate.migrate(config.load_one(DatabaseSettings), APPS, progress=lambda name: say(f"  已执行 {name}"))
    except migrate.MigrationFailed as error:
        raise Refused(str(error)) from None
    say("数据库结构已是最新")


async def run_makemigrations(arguments: argparse.Namespace) -> None:
    """Development: writes what the models have and the migrations lack."""
    for line in await makemigrations.write(APPS, arguments.app):
        say(line)


async def run_seed(arguments: argparse.Namespace) -> None:
    """Imports the checked-in county: regions, departments, items, prices, message templates."""
    if arguments.demo and config.load_one(DeploymentSettings).deployment == "production":
        raise Refused("正式环境不能导入演示账号")
    async with opened():
        for line in await seed.load(folder=arguments.folder, demo=arguments.demo):
            say(f"  {line}")
    say("目录数据已导入")


async def run_outbox(arguments: argparse.Namespace) -> None:
    """Shows what waits and what is dead, or revives a dead row."""
    async with opened():
        if arguments.revive is not None:
            if not await outbox.revive(arguments.revive):
                raise Refused(f"第 {arguments.revive} 号不在死信列表里")
            say(f"第 {arguments.revive} 号已重新排队")
            return
        for row in await outbox.backlog():
            age = (clock.now_ms() - row["oldest_ms"]) // 1000
            say(f"等待 {row['ready']:>6}  最早 {age} 秒前  {row['topic']}")
        dead = await outbox.dead()
        for row in dead:
            at = clock.local(datetime.fromtimestamp(row["created_ms"] / 1000, clock.SHANGHAI))
            say(f"死信 #{row['id']}  {at:%m-%d %H:%M}  {row['topic']}  {row['key']}  {row['error'] or ''}")
        say(f"死信共显示 {len(dead)} 条；处理原因后用 outbox --revive 编号 重新排队")


async def run_ledger(arguments: argparse.Namespace) -> int:
    """Checks the books; exit code 1 when something does not add up."""
    async with opened():
        report = await payments.ledger_check()
        for line in report.violations:
            say(f"✗ {line}")
        say("账目相符" if not report.violations else f"发现 {len(report.violations)} 处不符")
        return 1 if report.violations else 0


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    commands.add_parser("migrate", help="建立或升级数据库结构").set_defaults(run=run_migrate)
    make = commands.add_parser("makemigrations", help="（开发）根据模型生成迁移文件")
    make.add_argument("app", choices=sorted(APPS))
    make.set_defaults(run=run_makemigrations)
    data = commands.add_parser("seed", help="导入事项目录、地区、收费标准和消息模板")
    data.add_argument("--folder", type=Path, default=None, help="另一套县级数据所在的文件夹")
    data.add_argument("--demo", action="store_true", help="另外导入演示账号（正式环境拒绝）")
    data.set_defaults(run=run_seed)
    box = commands.add_parser("outbox", help="查看等待发送的消息和死信，或让死信重新排队")
    box.add_argument("--revive", type=int, metavar="编号", help="重新排队一条死信")
    box.set_defaults(run=run_outbox)
    ledger = commands.add_parser("ledger", help="核对账目")
    ledger.add_argument("action", choices=("check",))
    ledger.set_defaults(run=run_ledger)
