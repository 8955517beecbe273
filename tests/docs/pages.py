"""Reading the manuals: pages, their sections and the cells of their tables."""

import importlib
import pkgutil
from pathlib import Path

import backend
import kernel
import miniprogram_api
import notifications
import payments

ROOT = Path(__file__).parents[2]
PRODUCT = (kernel, payments, notifications, backend, miniprogram_api)
# Modules that are programs: importing them would start something.
_PROGRAMS = ("__main__", "photos.child")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """Every table row of a text as its cells; headers and rulers are left out. `\\|` is a bar inside a cell."""
    found: list[list[str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if not line.startswith("|") or line.startswith("|--") or following.startswith("|--"):
            continue
        cells = line.replace("\\|", "\0").strip("|").split("|")
        found.append([cell.replace("\0", "|").strip() for cell in cells])
    return found


def sections(text: str) -> dict[str, str]:
    """Heading of level two → what stands below it."""
    parts = ("\n" + text).split("\n## ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def import_everything() -> None:
    """Every module of the product, so that whatever registers itself by being defined is there."""
    for package in PRODUCT:
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if ".migrations" not in module.name and not module.name.endswith(_PROGRAMS):
                importlib.import_module(module.name)
