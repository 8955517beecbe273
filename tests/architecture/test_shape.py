"""Files and functions stay small, say what they are for, and are called what they are."""

import ast
import re

import pytest

from tests.architecture.source import PROGRAMS, ROOT, sources

MOST_LINES, MOST_LINES_OF_A_FUNCTION, MEDIAN_LINES = 400, 50, 120
NAMELESS = {"util", "utils", "common", "helper", "helpers", "misc", "stuff", "tools"}
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|tmp|home|root|Users)/\w")


def test_no_file_is_too_long():
    assert [(s.name, n) for s in sources() if (n := s.text.count("\n")) > MOST_LINES] == []


def test_most_files_are_short():
    lengths = sorted(s.text.count("\n") for s in sources())
    assert lengths[len(lengths) // 2] <= MEDIAN_LINES


def test_no_function_is_too_long():
    def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        return (function.end_lineno or 0) - function.lineno + 1

    long = [(s.name, f.name, lines(f)) for s in sources() for f in s.functions() if lines(f) > MOST_LINES_OF_A_FUNCTION]
    assert long == []


def test_every_module_says_what_lives_in_it():
    assert [s.name for s in sources() if not ast.get_docstring(s.tree)] == []


def test_every_docstring_of_a_module_opens_with_a_sentence():
    openings = {s.name: (ast.get_docstring(s.tree) or "").split("\n\n")[0] for s in sources()}
    assert [name for name, text in openings.items() if not re.search(r"[.?)]$", text) or len(text) < 15] == []


def test_every_package_folder_is_a_package_with_a_docstring():
    for package in PROGRAMS:
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
            opening = folder / "__init__.py"
            assert opening.exists(), folder.relative_to(ROOT)
            if folder.name != "migrations":
                text = opening.read_text(encoding="utf-8")
                assert ast.get_docstring(ast.parse(text)), opening.relative_to(ROOT)


def test_every_test_folder_is_a_package():
    """A tests/payments without tests/__init__.py would hide the product's package of that name."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


@pytest.mark.parametrize("top", (*PROGRAMS, "tests"))
def test_nothing_is_called_after_what_it_is_not(top):
    parts = {part for path in (ROOT / top).rglob("*.py") for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not parts & NAMELESS


def test_no_file_knows_one_machine():
    """Nothing outside the checkout is named: no folder of a developer, no throw-away path."""
    texts = {s.name: s.text for s in sources()}
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "deploy/**/*.conf",
        "deploy/**/*.service",
        "deploy/*.example",
        "*.yml",
        "*.toml",
    ):
        texts |= {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in ROOT.glob(pattern)}
    assert [name for name, text in texts.items() if MACHINE_PATH.search(text)] == []


def test_no_unfinished_work_is_left_in_the_code():
    mark = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    assert [s.name for s in sources() if mark.search(s.text)] == []


def test_no_page_loads_anything_from_a_foreign_host():
    """Counties often have no Internet behind the server, and nobody is told who reads what."""
    pages = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "sandbox" / "static").iterdir()}
    pages |= {s.name: s.text for s in sources(("miniprogram_api",))}
    foreign = re.compile(r"""(?:src|href|@import|url\()\s*[=(]?\s*["']?(?:https?:)?//(?!127\.0\.0\.1|localhost)""")
    assert [name for name, text in pages.items() if foreign.search(text)] == []


def test_partners_are_named_by_domain():
    """Addresses of platforms change without notice; only the loopback and documentation examples are written as numbers."""
    numbers = re.compile(r"(?<![\d.])(?!127\.0\.0\.1|0\.0\.0\.0|203\.0\.113\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
    texts = {
        s.name: s.text
        for s in sources()
        if s.package in ("kernel", "payments", "notifications", "backend", "miniprogram_api")
    }
    texts |= {
        str(p.relative_to(ROOT)): p.read_text(encoding="utf-8")
        for p in (ROOT / "deploy").rglob("*")
        if p.suffix in (".conf", ".service", ".example")
    }
    assert {name: numbers.findall(text) for name, text in texts.items() if numbers.search(text)} == {}
