"""Commands for people until the staff console exists: couriers, parcels, reviews, parked messages to the window."""

import argparse
import getpass
import secrets

import payments
from backend.commands.terminal import Commands, Refused, opened, say
from backend.delivery import assignment, desk, reviews
from backend.identity import courier_accounts
from backend.onewindow import queries as onewindow


async def run_courier(arguments: argparse.Namespace) -> None:
    """Creates or disables a courier's account."""
    async with opened():
        if arguments.action == "disable":
            await courier_accounts.disable_courier(login_name=arguments.login)
            say(f"已停用 {arguments.login}")
            return
        if not arguments.name or not arguments.areas:
            raise Refused("新建快递员需要 --name 和 --areas（负责的区划代码，逗号分隔）")
        password = (
            arguments.password or getpass.getpass("为快递员设置密码（留空自动生成）：") or secrets.token_urlsafe(9)
        )
        courier = await courier_accounts.create_courier(
            login_name=arguments.login, password=password, carrier=arguments.carrier, name=arguments.name,
            phone=arguments.phone, areas=tuple(arguments.areas.split(",")),
        )  # fmt: skip
        say(f"已建立快递员 {courier.name}，登录名 {arguments.login}")
        if not arguments.password:
            say(f"初始密码 {password}（只显示这一次）")


async def run_parcels(arguments: argparse.Namespace) -> None:
    """Lists parcels without a courier, or assigns one."""
    async with opened():
        if arguments.assign:
            waybill_no, login = arguments.assign
            await assignment.assign_parcel(waybill_no=waybill_no, courier_login=login, clerk=_clerk(arguments))
            say(f"包裹 {waybill_no} 已分配给 {login}")
            return
        rows = await assignment.parcels_without_courier()
        for row in rows:
            say(f"{row.waybill_no}  {row.region_code}  {row.since_at:%m-%d %H:%M}")
        say(f"{len(rows)} 个包裹等待分配；用 parcels --assign 运单号 登录名 --clerk 姓名 分配")


async def run_pickup(arguments: argparse.Namespace) -> None:
    """The applicant collects the paper at the window."""
    async with opened():
        receipt_no = await desk.window_pickup(
            case_no=arguments.case_no, clerk=_clerk(arguments), id_last4=arguments.id_last4, code=arguments.code
        )
        say(f"已领取，回执 {receipt_no}")


async def run_reviews(arguments: argparse.Namespace) -> None:
    """What waits for a person's judgement in delivery."""
    async with opened():
        if arguments.resolve:
            state = await reviews.resolve_review(
                review_no=arguments.resolve, accept=arguments.accept, clerk=_clerk(arguments), note=arguments.note or ""
            )
            say(f"已处理，包裹现在：{state}")
            return
        rows = await reviews.list_reviews()
        for row in rows:
            say(f"{row.review_no}  {row.kind}  {row.waybill_no or ''}  {row.detail}")
        say(f"{len(rows)} 件待复核；用 reviews --resolve 编号 [--accept] --clerk 姓名 --note 说明 处理")


async def run_parked(arguments: argparse.Namespace) -> None:
    """What the one-window platform refused, and decisions and money that a person must look at."""
    async with opened():
        for row in await onewindow.parked():
            say(f"转送 {row.ref}  {row.case_no}  {row.verb}  {row.code}  {row.note}")
        for review in await onewindow.for_review():
            say(f"事件 {review.project_no}:{review.seq}  {review.case_no or ''}  {review.type}  {review.note}")
        for difference in await payments.open_differences():
            say(f"资金  {difference['class']}  {difference['payment_no'] or ''}  {difference['detail']}")


def _clerk(arguments: argparse.Namespace) -> str:
    if not arguments.clerk:
        raise Refused("请用 --clerk 写明经办人姓名")
    return str(arguments.clerk)


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    courier = commands.add_parser("courier", help="建立或停用快递员账号")
    courier.add_argument("action", choices=("create", "disable"))
    courier.add_argument("login", help="登录名")
    for name, text in (
        ("--name", "姓名"), ("--phone", "手机号"), ("--areas", "负责的区划代码，逗号分隔"), ("--password", "密码"),
    ):  # fmt: skip
        courier.add_argument(name, help=text)
    courier.add_argument("--carrier", default="ems", help="所属承运单位")
    courier.set_defaults(run=run_courier)
    parcels = commands.add_parser("parcels", help="查看未分配的包裹，或分配给快递员")
    parcels.add_argument("--assign", nargs=2, metavar=("运单号", "登录名"))
    parcels.add_argument("--clerk", help="经办人姓名")
    parcels.set_defaults(run=run_parcels)
    pickup = commands.add_parser("pickup", help="窗口领取：核对后登记")
    pickup.add_argument("case_no", help="办件编号")
    pickup.add_argument("id_last4", help="身份证号后四位")
    pickup.add_argument("--code", help="领取码；没有时填 none")
    pickup.add_argument("--clerk", help="经办人姓名")
    pickup.set_defaults(run=run_pickup)
    review = commands.add_parser("reviews", help="寄送中需要人工判断的事")
    review.add_argument("--resolve", metavar="编号")
    review.add_argument("--accept", action="store_true", help="认可（不加则为不认可）")
    review.add_argument("--clerk", help="经办人姓名")
    review.add_argument("--note", help="处理说明")
    review.set_defaults(run=run_reviews)
    commands.add_parser("parked", help="转送被拒、待确认的办结、待处理的资金差异").set_defaults(run=run_parked)
