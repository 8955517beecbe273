"""Loads a county: places, departments, items, approved prices and message templates; with `demo`, the accounts of the played journey.

Everything here is safe to repeat: an unchanged file changes nothing.
"""

import tomllib
from pathlib import Path
from typing import Any

import notifications
import payments
from backend.catalog import importer
from backend.identity import field_accounts
from backend.identity.field_accounts import ROLE_LABELS
from backend.identity.views import AgentKind

COUNTY = Path(__file__).resolve().parent
_PROPOSER, _APPROVER = "价格目录导入", "价格目录复核"


async def load(*, folder: Path | None = None, demo: bool = False) -> list[str]:
    """Imports a folder of county data and says in Chinese what changed. Raises ImportRefused with every fault."""
    place = folder or COUNTY
    report = await importer.import_catalogue(folder=place, author="初始导入", reason="随系统发布的县级目录")
    lines = [
        f"地区 {report.regions} 个、部门 {report.departments} 个有变化；事项新增 {len(report.items_new)} 项、更新 {len(report.items_changed)} 项、未变 {report.items_unchanged} 项",
        f"收费标准：新增或更新 {await _prices(place / 'fees.toml')} 项",
    ]
    if (templates := place / "wechat_templates.toml").exists():
        lines.append(f"订阅消息模板：{await _templates(templates)} 个")
    if demo:
        lines.append(f"演示快递员和代办员：新建 {await _field_workers(place / 'demo.toml')} 个")
    return lines


async def _prices(path: Path) -> int:
    """Prices enter the list as two people would do it: one proposes, another approves; a known version is left alone."""
    changed = 0
    for fee in _read(path, "fee"):
        try:
            known = await payments.price(unit_code=fee["unit_code"], fee_code=fee["code"])
        except payments.PriceUnknown:
            known = None
        if known is not None and (known.price_fen, known.name) == (fee["price_fen"], fee["name"]):
            continue
        proposal = await payments.propose_price(
            unit_code=fee["unit_code"], fee_code=fee["code"], kind=fee["kind"], name=fee["name"],
            unit_name=fee["unit_name"], price_fen=fee["price_fen"], valid_from_on=fee["valid_from"],
            valid_to_on=fee.get("valid_to"), max_quantity=fee.get("max_quantity", 1), proposed_by=_PROPOSER,
            approval_price=fee["approval_no"],
        )  # fmt: skip
        await payments.approve_price(fee_item_id=proposal, approved_by=_APPROVER)
        changed += 1
    return changed


async def _templates(path: Path) -> int:
    """Which WeChat template carries which message; the ids are those of the mini-program's own console."""
    rows = _read(path, "template")
    for row in rows:
        await notifications.put_wechat_template(
            name=row["name"], template_id=row["template_id"], term=row["term"], mapping=row["mapping"]
        )
    return len(rows)


async def _field_workers(path: Path) -> int:
    """The couriers and agents of the played county; never in production."""
    known = {one.login_name for role in ROLE_LABELS for one in await field_accounts.roster(role=role)}
    couriers = [row for row in _read(path, "courier") if row["login_name"] not in known]
    for row in couriers:
        await field_accounts.create_courier(**{**row, "areas": tuple(row["areas"])})
    agents = [row for row in _read(path, "agent") if row["login_name"] not in known]
    for row in agents:
        kind, areas, skills = AgentKind(row["kind"]), tuple(row["areas"]), tuple(row["skills"])
        await field_accounts.create_agent(**{**row, "kind": kind, "areas": areas, "skills": skills})
    return len(couriers) + len(agents)


def _read(path: Path, table: str) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        rows: list[dict[str, Any]] = tomllib.load(file).get(table, [])
    return rows
