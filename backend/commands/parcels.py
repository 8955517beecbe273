"""Commands about parcels: assigning, the window's own acts, what the carrier got wrong, and what needs a person's judgement."""

import argparse

from backend.commands.terminal import Commands, Refused, opened, say
from backend.delivery import assignment, booking, desk, reviews


async def run_list(arguments: argparse.Namespace) -> None:
    """Parcels that no courier covers unambiguously."""
    async with opened():
        rows = await assignment.parcels_without_courier()
        for row in rows:
            say(f"{row.waybill_no}  {row.region_code}  {row.since_at:%m-%d %H:%M}")
        say(f"{len(rows)} 个包裹等待分配；用 parcels assign 运单号 登录名 --clerk 姓名 分配")


async def run_assign(arguments: argparse.Namespace) -> None:
    """A dispatcher gives a parcel to a courier."""
    async with opened():
        await assignment.assign_parcel(
            waybill_no=arguments.waybill_no, courier_login=arguments.login, clerk=arguments.clerk
        )
    say(f"包裹 {arguments.waybill_no} 已分配给 {arguments.login}")


async def run_returned(arguments: argparse.Namespace) -> None:
    """The window has the parcel back in its hands."""
    async with opened():
        await desk.window_return(waybill_no=arguments.waybill_no, clerk=arguments.clerk)
    say(f"包裹 {arguments.waybill_no} 已退回窗口，请通知申请人领取")


async def run_lost(arguments: argparse.Namespace) -> None:
    """The carrier cannot find it."""
    async with opened():
        await desk.report_lost(waybill_no=arguments.waybill_no, clerk=arguments.clerk)
    say(f"包裹 {arguments.waybill_no} 已登记为下落不明")


async def run_again(arguments: argparse.Namespace) -> None:
    """Books a parcel again after the carrier refused it."""
    async with opened():
        await booking.order_again(delivery_no=arguments.delivery_no, clerk=arguments.clerk)
    say("已重新约寄")


async def run_adopt(arguments: argparse.Namespace) -> None:
    """The carrier knows our order but did not tell its waybill; a person looked it up."""
    async with opened():
        await booking.adopt_waybill(
            delivery_no=arguments.delivery_no, waybill_no=arguments.waybill_no, clerk=arguments.clerk
        )
    say(f"已登记运单号 {arguments.waybill_no}")


async def run_pickup(arguments: argparse.Namespace) -> None:
    """The applicant collects the paper at the window."""
    async with opened():
        receipt_no = await desk.window_pickup(
            case_no=arguments.case_no, clerk=arguments.clerk, id_last4=arguments.id_last4, code=arguments.code
        )
        say(f"已领取，回执 {receipt_no}")


async def run_reviews(arguments: argparse.Namespace) -> None:
    """What waits for a person's judgement in delivery."""
    async with opened():
        if arguments.resolve:
            if not arguments.clerk:
                raise Refused("请用 --clerk 写明经办人姓名")
            state = await reviews.resolve_review(
                review_no=arguments.resolve, accept=arguments.accept, clerk=arguments.clerk, note=arguments.note or ""
            )
            say(f"已处理，包裹现在：{state}")
            return
        rows = await reviews.list_reviews()
        for row in rows:
            say(f"{row.review_no}  {row.kind}  {row.waybill_no or ''}  {row.detail}")
        say(f"{len(rows)} 件待复核；用 reviews --resolve 编号 [--accept] --clerk 姓名 --note 说明 处理")


_ACTS = (
    ("assign", "分配给投递员", ("waybill_no", "login"), run_assign),
    ("returned", "登记已退回窗口", ("waybill_no",), run_returned),
    ("lost", "登记下落不明", ("waybill_no",), run_lost),
    ("again", "重新约寄", ("delivery_no",), run_again),
    ("adopt", "登记承运单位告知的运单号", ("delivery_no", "waybill_no"), run_adopt),
)
_NAMES = {"waybill_no": "运单号", "login": "投递员登录名", "delivery_no": "寄送编号"}


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    parcels = commands.add_parser("parcels", help="查看未分配的包裹；分配、退回、遗失、重新约寄")
    parcels.set_defaults(run=run_list)
    acts = parcels.add_subparsers(metavar="动作")
    for name, text, arguments, run in _ACTS:
        act = acts.add_parser(name, help=text)
        for argument in arguments:
            act.add_argument(argument, help=_NAMES[argument])
        act.add_argument("--clerk", required=True, help="经办人姓名")
        act.set_defaults(run=run)
    pickup = commands.add_parser("pickup", help="窗口领取：核对后登记")
    pickup.add_argument("case_no", help="办件编号")
    pickup.add_argument("id_last4", help="身份证号后四位")
    pickup.add_argument("--code", help="领取码；没有时填 none")
    pickup.add_argument("--clerk", required=True, help="经办人姓名")
    pickup.set_defaults(run=run_pickup)
    review = commands.add_parser("reviews", help="寄送中需要人工判断的事")
    review.add_argument("--resolve", metavar="编号")
    review.add_argument("--accept", action="store_true", help="认可（不加则为不认可）")
    review.add_argument("--clerk", help="经办人姓名")
    review.add_argument("--note", help="处理说明")
    review.set_defaults(run=run_reviews)
