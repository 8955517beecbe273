"""docs/configuration.md and deploy/environment.example name every setting, exactly as the code has it, and nothing else."""

import dataclasses
import re
import sys
from typing import get_type_hints

import pytest

from kernel import config
from tests.docs import configuration
from tests.docs.pages import PRODUCT, ROOT, import_everything, page, rows, sections

EXAMPLE = (ROOT / "deploy" / "environment.example").read_text(encoding="utf-8")
PACKAGES = {package.__name__ for package in PRODUCT}
BY_NAME = {rule.env: (kind, field, rule) for kind, field, rule in configuration.known()}


def documented() -> dict[str, list[list[str]]]:
    """Settings class → its rows on the page."""
    found = {}
    for heading, text in sections(page("configuration.md")).items():
        kinds = re.findall(r"`[\w.]+`", heading)
        if kinds:
            found[kinds[0]] = rows(text)
    return found


def test_every_settings_class_has_a_section():
    assert sorted(documented()) == sorted(configuration.heading(kind) for kind in configuration.ALL_SETTINGS)


@pytest.mark.parametrize("kind", configuration.ALL_SETTINGS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_setting_is_described_as_it_is(kind):
    expected = [configuration.cells(field, rule) for field, rule in config.rules(kind)]
    assert [row[:5] for row in documented()[configuration.heading(kind)]] == expected


def test_no_settings_class_is_forgotten():
    """A class that declares settings and that no process loads would be a setting nobody can set."""
    import_everything()
    declared = {
        kind for name, module in sorted(sys.modules.items()) if name.split(".")[0] in PACKAGES
        for kind in vars(module).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type) and config.rules(kind)
    }  # fmt: skip
    assert declared == set(configuration.ALL_SETTINGS)


def test_a_setting_is_named_once():
    names = [rule.env for _, _, rule in configuration.known()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", BY_NAME)
def test_the_example_of_each_setting_can_be_used(name):
    kind, field, rule = BY_NAME[name]
    row = next(r for r in documented()[configuration.heading(kind)] if r[0] == f"`{name}`")
    example = row[5].strip("`")
    assert example, name
    if rule.secret:
        assert re.fullmatch(rf"{name}_FILE=/etc/zhangshangban/secrets/\S+", example), "secrets are shown as files"
        return
    written, _, value = example.partition("=")
    assert written == name
    alone = dataclasses.make_dataclass("Alone", [(field.name, get_type_hints(kind)[field.name], field)], frozen=True)
    config.load(alone, environ={name: value})


def assignments() -> dict[str, str]:
    """Active lines of the environment example."""
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))


def test_the_environment_example_sets_everything_that_has_no_default():
    required = {rule.env for _, field, rule in configuration.known() if field.default is dataclasses.MISSING}
    assert required <= {name for given in assignments() for name in (given, given.removesuffix("_FILE"))}


def test_the_environment_example_names_only_what_exists():
    mentioned = set(assignments()) | set(re.findall(r"^# ?([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE))
    names = {n for rule in (r for _, _, r in configuration.known()) for n in (rule.env, rule.env + "_FILE")}
    assert mentioned <= names


def test_the_environment_example_holds_no_secret_and_no_address_of_a_machine():
    secret = {rule.env for _, _, rule in configuration.known() if rule.secret}
    assert not secret & set(assignments()), "secrets live in files"
    assert not re.findall(r"\b(?!127\.0\.0\.1)\d{1,3}(?:\.\d{1,3}){3}\b", EXAMPLE), "partners are named by domain"


def test_every_line_of_the_environment_example_is_explained():
    lines = EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[A-Z]", line):
            above = lines[number - 1]
            assert above.startswith("#") or re.match(r"[A-Z]", above), f"{line}: say what it is for"
