"""Commands about accounts of couriers and agents. Passwords come from the keyboard or are made here; never from the command
line's history.
"""

import argparse
import getpass
import secrets
import sys
from datetime import date

from backend.catalog import queries as catalog
from backend.commands.terminal import Commands, Refused, opened, say
from backend.identity import field_accounts
from backend.identity.actor import FieldRole
from backend.identity.courier_areas import covers
from backend.identity.field_accounts import ROLE_LABELS
from backend.identity.views import AGENT_KIND_LABELS, AgentKind, RosterEntry
from kernel import clock


async def run_create(arguments: argparse.Namespace) -> None:
    """Creates an account of the role and says its password once."""
    areas, role = _words(arguments.areas), ROLE_LABELS[arguments.role]
    async with opened():
        if outside := await _outside(areas):
            raise Refused(f"区划代码 {'、'.join(outside)} 不在本县范围内，这样的{role}分不到任何工作")
        password, made_here = _password()
        common = {
            "login_name": arguments.login, "password": password, "name": arguments.name, "phone": arguments.phone,
            "areas": areas,
        }  # fmt: skip
        if arguments.role == "courier":
            name = (await field_accounts.create_courier(carrier=arguments.carrier, **common)).name
        else:
            agent = await field_accounts.create_agent(
                kind=AgentKind(arguments.kind), organisation=arguments.organisation, skills=_words(arguments.skills),
                serving_since_on=arguments.since, **common,
            )  # fmt: skip
            name, role = agent.name, agent.kind_label
    say(f"已建立{role} {name}，登录名 {arguments.login}")
    _tell(password, made_here)


async def run_password(arguments: argparse.Namespace) -> None:
    """Gives the account a new password."""
    async with opened():
        password, made_here = _password()
        await field_accounts.set_password(role=arguments.role, login_name=arguments.login, password=password)
    say(f"已重设 {arguments.login} 的密码，原来的登录立即失效")
    _tell(password, made_here)


async def run_disable(arguments: argparse.Namespace) -> None:
    """Disables the account."""
    async with opened():
        await field_accounts.disable(role=arguments.role, login_name=arguments.login)
    say(f"已停用 {arguments.login}，所有登录立即失效")


async def run_list(arguments: argparse.Namespace) -> None:
    """Lists every account of the role."""
    async with opened():
        rows = await field_accounts.roster(role=arguments.role)
    for row in rows:
        say(_line(row))
    disabled = sum(row.disabled_at is not None for row in rows)
    say(f"共 {len(rows)} 个{ROLE_LABELS[arguments.role]}账号，其中停用 {disabled} 个")


def _line(row: RosterEntry) -> str:
    words = [row.login_name, row.name, row.kind_label, row.organisation, row.carrier, "、".join(row.areas)]
    if row.serving_since_on is not None:
        words.append(f"{row.serving_since_on} 起")
    if row.skills:
        words.append("擅长 " + "、".join(row.skills))
    if row.disabled_at is not None:
        words.append(f"{clock.local(row.disabled_at):%Y-%m-%d} 停用")
    return "  ".join(word for word in words if word)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.replace("，", ",").split(",") if word.strip())


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


def _tell(password: str, made_here: bool) -> None:
    if made_here:
        say(f"密码 {password}（只显示这一次）")


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    create = _role(commands, "courier", "快递员账号：建立、重设密码、停用、列出")
    create.add_argument("--carrier", default="ems", help="所属承运单位")
    create = _role(commands, "agent", "代办员、网格员账号：建立、重设密码、停用、列出")
    kinds = "，".join(f"{kind} {label}" for kind, label in AGENT_KIND_LABELS.items())
    create.add_argument("--kind", choices=[k.value for k in AgentKind], default=AgentKind.PROXY.value, help=kinds)
    create.add_argument("--organisation", required=True, help="所属单位，例如 玉门镇便民服务中心")
    create.add_argument("--skills", default="", help="擅长的事项，逗号分隔")
    create.add_argument("--since", required=True, type=date.fromisoformat, help="开始服务的日期，例如 2023-05-01")


def _role(commands: Commands, role: FieldRole, text: str) -> argparse.ArgumentParser:
    """The commands that both roles have; answers the one that creates, to which a role adds its own words."""
    top = commands.add_parser(role, help=text)
    acts = top.add_subparsers(dest="action", required=True, metavar="动作")
    create: argparse.ArgumentParser = acts.add_parser("create", help="建立账号")
    create.set_defaults(run=run_create, role=role)
    create.add_argument("login", help="登录名")
    create.add_argument("--name", required=True, help="姓名")
    create.add_argument("--phone", help="手机号")
    create.add_argument("--areas", required=True, help="负责的区划代码，逗号分隔")
    for name, run, help_ in (("password", run_password, "重设密码"), ("disable", run_disable, "停用")):
        act = acts.add_parser(name, help=help_)
        act.set_defaults(run=run, role=role)
        act.add_argument("login", help="登录名")
    acts.add_parser("list", help="列出全部账号").set_defaults(run=run_list, role=role)
    return create
