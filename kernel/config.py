"""The only place that reads the environment: frozen settings, `*_FILE` secrets, and all complaints at once."""

import dataclasses
import difflib
import math
import os
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_MISSING = dataclasses.MISSING
T = TypeVar("T")


class ConfigError(Exception):
    """The configuration cannot be used; `complaints` lists everything that is wrong, in Chinese, with the remedy."""

    def __init__(self, complaints: Sequence[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = tuple(complaints)


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a setting is called outside and what it accepts."""

    env: str
    help: str
    secret: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None
    parse: Callable[[str], Any] | None = None


def setting(
    env: str,
    *,
    help: str,
    default: Any = _MISSING,
    secret: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """Declares one field of a Settings dataclass. Secrets never have a default and never appear in `repr`."""
    if secret and default not in (_MISSING, None, ""):
        raise TypeError(f"{env}: a secret has no default")
    rule = Rule(env, help, secret, minimum, maximum, choices, parse)
    return dataclasses.field(default=default, metadata={"rule": rule}, repr=not secret)


def rules(settings_type: type[Any]) -> list[tuple[dataclasses.Field[Any], Rule]]:
    """The declared settings of a dataclass, for loading and for the documentation test."""
    return [(f, f.metadata["rule"]) for f in dataclasses.fields(settings_type) if "rule" in f.metadata]


def load(*settings_types: type[Any], environ: Mapping[str, str] | None = None) -> tuple[Any, ...]:
    """Fills every given dataclass from the environment; raises ConfigError with all complaints together."""
    source = os.environ if environ is None else environ
    complaints: list[str] = []
    loaded: list[Any] = []
    for settings_type in settings_types:
        hints = get_type_hints(settings_type)
        values: dict[str, Any] = {}
        before = len(complaints)
        for field, rule in rules(settings_type):
            try:
                value = _read(source, field, rule, hints[field.name])
            except ValueError as error:
                complaints.append(f"{rule.env}：{error}（{rule.help}）")
                continue
            if value is not _MISSING:
                values[field.name] = value
        if len(complaints) == before:
            try:
                loaded.append(settings_type(**values))
            except ValueError as error:  # a check across fields in __post_init__
                complaints.append(f"{settings_type.__module__}：{error}")
    if complaints:
        raise ConfigError(complaints)
    return tuple(loaded)


def load_one(settings_type: type[T], environ: Mapping[str, str] | None = None) -> T:
    """`load` for a single Settings class."""
    result: T = load(settings_type, environ=environ)[0]
    return result


def unknown(*settings_types: type[Any], environ: Mapping[str, str] | None = None) -> list[str]:
    """Names in the environment that begin like ours but are none: a slip of the pen would silently leave the default."""
    source = os.environ if environ is None else environ
    known = {rule.env for settings_type in settings_types for _, rule in rules(settings_type)}
    families = {name.split("_", 1)[0] + "_" for name in known}
    found = []
    for name in sorted(source):
        if {name, name.removesuffix("_FILE")} & known or not any(name.startswith(family) for family in families):
            continue
        if near := difflib.get_close_matches(name, known, n=1, cutoff=0.75):
            found.append(f"{name} 不是本产品的设置，是不是 {near[0]}？")
    return found


def _read(source: Mapping[str, str], field: dataclasses.Field[Any], rule: Rule, hint: Any) -> Any:
    text = source.get(rule.env)
    from_file = source.get(rule.env + "_FILE")
    if text is not None and from_file is not None:
        raise ValueError(f"{rule.env} 与 {rule.env}_FILE 不能同时设置")
    if from_file is not None:
        text = _secret_file(Path(from_file))
    if text is None or not text.strip():  # `NAME=` in an environment file means: not set
        if field.default is _MISSING:
            raise ValueError("没有设置")
        return _MISSING
    value = rule.parse(text) if rule.parse else _convert(text, hint)
    if rule.choices is not None and value not in rule.choices:
        raise ValueError(f"只能是 {'、'.join(rule.choices)} 之一")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if rule.minimum is not None and value < rule.minimum:
            raise ValueError(f"不能小于 {rule.minimum:g}")
        if rule.maximum is not None and value > rule.maximum:
            raise ValueError(f"不能大于 {rule.maximum:g}")
    return value


def _secret_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"密钥文件 {path} 不是 UTF-8 文本") from None
    except OSError as error:
        raise ValueError(f"读不到密钥文件 {path}（{error.strerror}）") from None
    if mode & 0o007:
        raise ValueError(f"密钥文件 {path} 对其他用户开放，请执行 chmod o= {path}")
    return text.rstrip("\r\n")


def _convert(text: str, hint: Any) -> Any:
    if isinstance(hint, types.UnionType):  # X | None
        hint = next(a for a in get_args(hint) if a is not type(None))
    if get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if hint is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ValueError("请写 true 或 false")
    if hint in (int, float):
        try:
            number = hint(text)
        except ValueError:
            raise ValueError("不是数字") from None
        if not math.isfinite(number):
            raise ValueError("不是数字")
        return number
    return Path(text) if hint is Path else text
