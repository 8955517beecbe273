"""Whether this process stands on what the lock names: package versions, packages that must be absent, the SQLite library.

Offline installations drift: somebody updates one package by hand and the traps that were worked around are different ones.
"""

import re
import sqlite3
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.txt"
# Each takes the place of, or hooks itself into, a package we use: see docs/dependencies.md.
REFUSED = {
    "aioredis": "已停止维护，与 redis 冲突",
    "python-alipay-sdk": "与 alipay-sdk-python 互相覆盖",
    "sanic-ext": "装上就会自动接管接口",
}
_MOST_NAMED = 8
_SQLITE = (3, 35, 0)  # RETURNING
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)(\s*;)?", re.MULTILINE)


@lru_cache(maxsize=1)
def complaints(lock: Path = LOCK) -> tuple[str, ...]:
    """Everything that is wrong, in Chinese with the remedy; a process does not start on any of it."""
    if not lock.exists():
        return (f"找不到依赖清单 {lock}，安装不完整，请重新安装",)
    found = [*_differences(_pins(lock.read_text(encoding="utf-8"))), *_unwelcome()]
    if sqlite3.sqlite_version_info < _SQLITE:
        found.append(f"SQLite {sqlite3.sqlite_version} 太旧，需要 3.35 以上")
    return tuple(found)


def imported() -> tuple[str, ...]:
    """Modules that no process of the product may have loaded; empty when all is well."""
    return tuple(sorted({"aioredis", "httpx", "sanic_ext"} & set(sys.modules)))


@lru_cache(maxsize=1)
def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for one in metadata.distributions():
        found.setdefault(_plain(one.name), one.version)  # the first on the path is the one that is imported
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins(lock: str) -> dict[str, tuple[str, bool]]:
    """Package → version, and whether it may be missing (the lock gives a condition for it)."""
    return {_plain(name): (version, bool(condition)) for name, version, condition in _PIN.findall(lock)}


def _differences(pins: dict[str, tuple[str, bool]]) -> list[str]:
    installed = _installed()
    wrong = [
        f"{name} 应为 {version}，实际 {installed.get(name, '没有安装')}"
        for name, (version, optional) in pins.items()
        if installed.get(name) != version and not (optional and name not in installed)
    ]
    if not wrong:
        return []
    more = f" 等 {len(wrong)} 个" if len(wrong) > _MOST_NAMED else ""
    return [
        f"软件包与依赖清单不一致：{'；'.join(wrong[:_MOST_NAMED])}{more}。"
        "请执行 pip install --require-hashes -r requirements.txt"
    ]


def _unwelcome() -> list[str]:
    return [f"请卸载 {name}：{why}" for name, why in REFUSED.items() if name in _installed()]
