"""docs/dependencies.md names every direct dependency with its reason and its trap, and tells truly who imports it."""

import re
import sys
import tomllib

from tests.docs.pages import ROOT, page, rows, sections

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SECTIONS = sections(page("dependencies.md"))
RUNTIME = rows(SECTIONS["Runtime"])
DEVELOPMENT = rows(SECTIONS["Development only"])
PACKAGES = ("kernel", "payments", "notifications", "backend", "miniprogram_api")


def test_the_locks_are_made_for_the_oldest_python_we_promise():
    """Debian 12 ships 3.11.2, for which redis wants a package that 3.11.7 does not need."""
    for lock in ("requirements.txt", "requirements-dev.txt"):
        assert "--python-version 3.11.0" in (ROOT / lock).read_text(encoding="utf-8").splitlines()[1]


def name_of(requirement: str) -> str:
    return re.split(r"[=<>~!\[ ]", requirement)[0]


def imported() -> set[str]:
    """Top-level modules that the product imports anywhere."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            found |= set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


def test_every_runtime_dependency_has_a_reason_and_a_trap():
    assert [row[0].strip("`") for row in RUNTIME] == [name_of(one) for one in PROJECT["dependencies"]]
    assert [row[0] for row in RUNTIME if len(row[2]) < 5 or len(row[3]) < 15] == []


def test_every_runtime_dependency_is_pinned_exactly():
    assert [one for one in PROJECT["dependencies"] if not re.fullmatch(r"[\w-]+==[\w.]+", one)] == []


def test_the_pins_are_what_the_lock_installs():
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for pin in PROJECT["dependencies"]:
        assert re.search(rf"^{re.escape(pin)}\b", lock, re.MULTILINE | re.IGNORECASE), pin


def test_every_development_dependency_has_a_reason():
    assert [row[0].strip("`") for row in DEVELOPMENT] == [
        name_of(one) for one in PROJECT["optional-dependencies"]["dev"]
    ]


def test_the_page_says_truly_what_is_imported():
    now = imported()
    for package, used, *_ in RUNTIME:
        if used.startswith("through "):
            continue
        module = re.findall(r"`(\w+)`", used)[0]
        assert (module in now) == (not used.startswith("*not yet*")), f"{package}: {used}"


def test_packages_known_to_be_wrong_are_not_imported():
    assert not imported() & {"httpx", "aioredis", "gmssl", "sanic_ext", "wechatpayv3", "requests"}


def test_nothing_is_imported_that_is_not_declared():
    """Whatever the product imports is its own, the standard library's, or a row of the table."""
    ours = {*PACKAGES, "sandbox", "deploy"}
    declared = {word for row in RUNTIME for word in re.findall(r"`(\w+)`", row[1])}
    outside = {n for n in imported() if n not in ours and n not in sys.stdlib_module_names}
    assert outside <= declared, outside - declared
