"""Commands about couriers' accounts. Passwords come from the keyboard or are made here; never from the command line's history."""

import argparse
import getpass
import secrets
import sys

from backend.catalog import queries as catalog
from backend.commands.terminal import Commands, Refused, opened, say
from backend.identity import field_accounts
from backend.identity.courier_areas import covers


async def run(arguments: argparse.Namespace) -> None:
    """Creates a courier, gives a new password, or disables the account."""
    if arguments.action == "create" and not (arguments.name and arguments.areas):
        raise Refused("新建投递员需要 --name 和 --areas（负责的区划代码，逗号分隔）")
    async with opened():
        if arguments.action == "disable":
            await field_accounts.disable(role="courier", login_name=arguments.login)
            say(f"已停用 {arguments.login}，所有登录立即失效")
            return
        areas = tuple(area.strip() for area in (arguments.areas or "").split(",") if area.strip())
        if arguments.action == "create" and (outside := await _outside(areas)):
            raise Refused(f"区划代码 {'、'.join(outside)} 不在本县范围内，这样的投递员分不到任何包裹")
        password, made_here = _password()
        if arguments.action == "password":
            await field_accounts.set_password(role="courier", login_name=arguments.login, password=password)
            say(f"已重设 {arguments.login} 的密码，原来的登录立即失效")
        else:
            courier = await field_accounts.create_courier(
                login_name=arguments.login, password=password, carrier=arguments.carrier, name=arguments.name,
                phone=arguments.phone, areas=areas,
            )  # fmt: skip
            say(f"已建立投递员 {courier.name}，登录名 {arguments.login}")
        if made_here:
            say(f"密码 {password}（只显示这一次）")


async def _outside(areas: tuple[str, ...]) -> list[str]:
    """Areas that neither hold nor lie in a county we serve; nothing can be said before a catalogue was imported."""
    counties = [county.code for county in await catalog.regions(parent=None, served=True)]
    return [
        area
        for area in areas
        if counties and not any(area.startswith(county[:6]) or covers(area, county) for county in counties)
    ]


def _password() -> tuple[str, bool]:
    """What was typed, or one made here when nothing was typed or nobody sits at a terminal."""
    typed = getpass.getpass("设置密码（留空自动生成）：") if sys.stdin.isatty() else ""
    return (typed, False) if typed else (secrets.token_urlsafe(12), True)


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    courier = commands.add_parser("courier", help="建立投递员账号、重设密码、停用")
    courier.add_argument("action", choices=("create", "password", "disable"), help="建立、重设密码、停用")
    courier.add_argument("login", help="登录名")
    for name, text in (("--name", "姓名"), ("--phone", "手机号"), ("--areas", "负责的区划代码，逗号分隔")):
        courier.add_argument(name, help=text)
    courier.add_argument("--carrier", default="ems", help="所属承运单位")
    courier.set_defaults(run=run)
