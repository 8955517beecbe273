"""The manuals can be followed: every command parses, every make target, file and link exists, every unit starts something real."""

import re
import shlex
import tomllib

import pytest

from backend.commands import parser
from miniprogram_api import operations
from tests.docs.pages import ROOT, page

PAGES = {
    str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
}
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
OURS = re.compile(r"^(?:zsb|(?:\.venv/bin/)?python -m backend) (.+)$")


def shell_lines(text: str) -> list[str]:
    return [line for block in FENCE.findall(text) for line in block.splitlines()]


COMMANDS = [
    (name, found[1]) for name, text in PAGES.items() for line in shell_lines(text) if (found := OURS.match(line))
]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=lambda value: value)
def test_every_command_of_the_manuals_is_understood(name, command):
    parser().parse_args(shlex.split(command, comments=True))


def test_the_operators_page_knows_every_command():
    (commands,) = [action for action in parser()._actions if hasattr(action, "choices") and action.choices]
    told = {
        shlex.split(command)[0] for name, command in COMMANDS if name in ("docs/operations.md", "docs/deployment.md")
    }
    # worker is started by systemd, makemigrations is for developers.
    assert set(commands.choices) - told == {"worker", "makemigrations"}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_link_leads_somewhere(name):
    folder = (ROOT / name).parent
    links = [link for link in LINK.findall(PAGES[name]) if not link.startswith(("http:", "https:", "mailto:"))]
    assert [link for link in links if not (folder / link).resolve().exists()] == []


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_make_target_exists(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)`", PAGES[name]))
    named |= {m[1] for line in shell_lines(PAGES[name]) if (m := re.search(r"\bmake ([a-z-]+)", line))}
    assert named <= targets


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/architecture.md"])
def test_every_file_that_is_named_exists(name):
    named = re.findall(
        r"`((?:kernel|payments|notifications|backend|miniprogram_api|sandbox|deploy|docs|tests)/[\w./@*-]*)`",
        PAGES[name],
    )
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/")))] == []


def test_the_readmes_are_in_step():
    """Same sections, same commands, same pictures, same links to the manuals."""
    english, chinese = PAGES["README.md"], PAGES["README.zh-CN.md"]
    assert len(re.findall(r"^## ", english, re.MULTILINE)) == len(re.findall(r"^## ", chinese, re.MULTILINE))
    assert FENCE.findall(english) == FENCE.findall(chinese)

    def manuals(text: str) -> set[str]:
        return {link for link in LINK.findall(text) if not link.startswith(("http", "README"))}

    assert manuals(english) == manuals(chinese)


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert version == operations.VERSION
    assert f'softwareVersion: "{version}"' in (ROOT / "publiccode.yml").read_text(encoding="utf-8")
    assert f"## {version}" in PAGES["CHANGELOG.md"]


def test_decisions_are_numbered_without_gaps_and_say_why():
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(p.name[:4]) for p in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert "**Decided.**" in text, path.name
        assert "**Why.**" in text, path.name


class TestUnits:
    """deploy/systemd starts what exists, on ports an ordinary account may open."""

    UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))

    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_what_it_starts_exists(self, unit):
        text = unit.read_text(encoding="utf-8")
        module, *arguments = re.search(r"^ExecStart=\S+/python -m (.+)$", text, re.MULTILINE)[1].split()
        assert (ROOT / module / "__main__.py").exists()
        if module == "backend":
            parser().parse_args(arguments)
        assert "EnvironmentFile=/etc/zhangshangban/environment" in text

    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_its_metrics_port_needs_no_rights(self, unit):
        for written in re.findall(r"METRICS_PORT=(\S+)", unit.read_text(encoding="utf-8")):
            assert 1024 <= int(written.replace("%i", "1")) <= 65535

    def test_the_deployment_page_copies_files_that_exist(self):
        named = set(re.findall(r"/opt/zhangshangban/((?:deploy|requirements)[\w./-]*)", page("deployment.md")))
        assert named
        assert [path for path in named if not (ROOT / path).exists() and not path.endswith("/")] == []

    def test_nginx_serves_the_sockets_the_units_open(self):
        unit = (ROOT / "deploy" / "systemd" / "zhangshangban-api@.service").read_text(encoding="utf-8")
        socket = re.search(r"API_SOCKET=(\S+)", unit)[1].replace("%i", "1")
        nginx = (ROOT / "deploy" / "nginx" / "zhangshangban.conf").read_text(encoding="utf-8")
        assert f"server unix:{socket}" in nginx
