"""What docs/configuration.md has to say about each setting, read from the Settings classes."""

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any

from backend import wiring
from backend.settings import WorkerSettings
from kernel import config
from kernel.config import Rule
from kernel.logs import LogSettings
from kernel.metrics import MetricsSettings
from miniprogram_api.settings import HttpSettings
from tests.docs.pages import ROOT

ALL_SETTINGS = (*wiring.SETTINGS, HttpSettings, WorkerSettings, LogSettings, MetricsSettings)


def known() -> list[tuple[type[Any], dataclasses.Field[Any], Rule]]:
    return [(kind, field, rule) for kind in ALL_SETTINGS for field, rule in config.rules(kind)]


def heading(kind: type[Any]) -> str:
    return f"`{kind.__module__}.{kind.__name__}`"


def cells(field: dataclasses.Field[Any], rule: Rule) -> list[str]:
    """Name, meaning, default, secret, allowed values; the example is written by hand."""
    return [f"`{rule.env}`", rule.help, default(field, rule), "是" if rule.secret else "否", allowed(rule)]


def default(field: dataclasses.Field[Any], rule: Rule) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        return "必填"
    if value is None or value in ("", ()):
        return "空"
    return f"`{_written(value, rule)}`"


def _written(value: Any, rule: Rule) -> str:
    """The value as it would stand in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        if not isinstance(value[0], tuple):
            return ",".join(value)
        for sign in ":=":
            text = ",".join(f"{code}{sign}{_plain(word)}" for code, word in value)
            try:
                if rule.parse is not None and rule.parse(text) == value:
                    return text
            except ValueError:
                continue
        raise AssertionError(f"{rule.env}: the default cannot be written down")
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return str(Path(text).relative_to(ROOT)) if text.startswith(str(ROOT)) else text


def _plain(word: Any) -> str:
    return str(word.value) if isinstance(word, Enum) else str(word)


def allowed(rule: Rule) -> str:
    if rule.choices:
        return "、".join(f"`{choice}`" for choice in rule.choices)
    if rule.minimum is not None and rule.maximum is not None:
        return f"{rule.minimum:g}–{rule.maximum:g}"
    return f"≥ {rule.minimum:g}" if rule.minimum is not None else ""
