"""The product's source files as text and syntax trees, read once."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What runs in production. The sandbox and the local run are programs of their own with a few exceptions.
PRODUCT = ("kernel", "payments", "notifications", "backend", "miniprogram_api")
PROGRAMS = (*PRODUCT, "sandbox", "deploy")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file."""

    name: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition("/")[0]

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@cache
def sources(packages: tuple[str, ...] = PROGRAMS) -> tuple[Source, ...]:
    """Every file of these packages; migrations are generated and have rules of their own."""
    found = []
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                text = path.read_text(encoding="utf-8")
                found.append(Source(str(path.relative_to(ROOT)), text, ast.parse(text)))
    return tuple(found)


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of attributes, `…c` when it begins with something else, "" for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value) or '…'}.{node.attr}"
    return ""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node
