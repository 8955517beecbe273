"""Codes of items (事项编码): the implementation code checked part by part, each part explained when it is refused.

The 31 characters are credit code of the department 18 + level of exercise 1 + basic code 12. GB/T 39046 prints 24, exchange
tables allow 36: local profiles differ, therefore nothing here cuts or pads.
"""

import re
from dataclasses import dataclass

from backend.formats import uscc

LENGTH = 31
LEVELS = {
    "1": "国家级",
    "2": "省级",
    "3": "市级",
    "4": "县级",
    "5": "镇（乡、街道）级",
    "6": "村（社区）级",
    "7": "分级管理",
}
# GB/T 39046 annex A.1
TASK_TYPES = {
    "01": "行政许可",
    "05": "行政给付",
    "07": "行政确认",
    "08": "行政奖励",
    "09": "行政裁决",
    "10": "其他行政权力",
    "20": "公共服务",
}
_CATALOG = re.compile(r"[0-9A-Z]{12}")


@dataclass(frozen=True)
class Part:
    """One part of a code, what it means, and what is wrong with it."""

    name: str
    value: str
    fault: str | None


def catalog_fault(code: str) -> str | None:
    """What is wrong with a basic code (基本编码, 12 characters)."""
    if not _CATALOG.fullmatch(code):
        return f"基本编码应为 12 位大写字母或数字，现在是 {len(code)} 位"
    return None


def parts(code: str) -> tuple[Part, ...]:
    """The parts of an implementation code, each with its fault."""
    if len(code) != LENGTH:
        return (
            Part(
                "实施编码", code, f"应为 31 位（统一社会信用代码 18 + 行使层级 1 + 基本编码 12），现在是 {len(code)} 位"
            ),
        )
    verdict = uscc.check(code[:18])
    level = code[18]
    level_fault = None if level in LEVELS else f"行使层级只能是 1 至 7，现在是 {level}"
    return (
        Part("统一社会信用代码（第 1-18 位）", code[:18], verdict.faults[0] if verdict.faults else None),
        Part("行使层级（第 19 位）", f"{level} {LEVELS.get(level, '')}".strip(), level_fault),
        Part("基本编码（第 20-31 位）", code[19:], catalog_fault(code[19:])),
    )


def faults(code: str, *, department_code: str, level: str, catalog_code: str) -> tuple[str, ...]:
    """Everything wrong with a code, also where it disagrees with the item it belongs to."""
    found = [f"{part.name}“{part.value}”：{part.fault}" for part in parts(code) if part.fault]
    if found or len(code) != LENGTH:
        return tuple(found)
    for name, is_value, should in (
        ("统一社会信用代码", code[:18], department_code),
        ("行使层级", code[18], level),
        ("基本编码", code[19:], catalog_code),
    ):
        if is_value != should:
            found.append(f"{name}“{is_value}”与事项填写的“{should}”不一致")
    return tuple(found)
