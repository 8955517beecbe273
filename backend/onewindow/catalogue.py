"""Our catalogue in the words of the platform (`task.get`), so that both sides can be held against each other.

A county that starts without an agreed item list hands this to the platform; the sandbox learns its items from it.
"""

from typing import Any

import msgspec

from backend.catalog import queries as catalog
from backend.catalog import region_codes
from backend.catalog.views import Guide, ItemsPage, ItemVersion, version_of
from backend.onewindow.mapping import PROJECT_TYPES

_NEED = {"required": 1, "optional": 0, "tolerable": 2}
_PAGE = 100


async def tasks() -> list[dict[str, Any]]:
    """Every item in force that can be applied for online, with its materials and form."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = await catalog.items_page(cursor=cursor, limit=_PAGE)
        page = msgspec.json.decode(answer.body, type=ItemsPage)
        for card in page.items:
            if card.apply_online:
                guide = msgspec.json.decode((await catalog.guide(item_code=card.item_code)).body, type=Guide)
                found.append(task(version_of(guide, 0)))
        cursor = page.next_cursor
        if cursor is None:
            return found


def task(item: ItemVersion) -> dict[str, Any]:
    """One item as `task.get` answers it; `areaScope` is ours: the areas in which it is open."""
    return {
        "taskCode": item.task_code,
        "taskVersion": str(item.version),
        "taskName": item.name,
        "catalogCode": item.catalog_code,
        "taskHandleItems": [item.handle_code] if item.handle_code else [],
        "projectType": PROJECT_TYPES[item.project_type],
        "promiseDay": item.promise_days,
        "promiseType": "W",
        "legalDay": item.legal_days,
        "materials": [
            {
                "materialId": rule.code,
                "materialName": rule.name,
                "isNeed": _NEED[rule.need],
                "materialType": "electronic",
                "pageNum": rule.max_files,
            }
            for rule in item.materials
        ],
        "form": _form(item.form_schema),
        "fees": [
            {"feeName": line.name, "feeStand": line.price_fen * line.quantity, "isDesc": 0} for line in item.fee_lines
        ],
        "isExpress": "1" if "mail" in item.delivery_modes else "0",
        "isPayOnline": "1" if item.fee_lines else "0",
        "limitSceneNum": 0,
        "taskState": "1",
        "areaScope": [region_codes.significant(item.region_code)],
    }


def _form(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of the form. Conditions stay with us: the platform only knows what is always required."""
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "nameCn": field.get("title", name),
            "type": field.get("type", "string"),
            "required": name in required,
            "options": field.get("enum", []),
        }
        for name, field in schema.get("properties", {}).items()
    ]
