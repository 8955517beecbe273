"""Turns a JSON body or a query string into a typed value, naming every wrong field at once and repeating none of the input."""

import contextlib
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from kernel.problems import FieldError, Invalid, Problem

T = TypeVar("T")
MAX_DEPTH = 32
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KINDS = {str: "文字", int: "整数", float: "数字", bool: "是或否", dict: "一组字段", list: "列表"}


class NotJson(Problem):
    """The body cannot be read at all."""

    status, code, title = 400, "not-json", "请求内容不是有效的 JSON"


def decode(raw: bytes, wanted: type[T]) -> T:
    """The body as `wanted`. Raises NotJson (400) or Invalid (422) with one entry per wrong field."""
    try:
        value = msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson from None
    if _depth(value) > MAX_DEPTH:
        raise NotJson("请求内容嵌套过深")
    if b"\\u0000" in raw and (nul := list(_nul_strings(value, ""))):  # JSON has no other way to write it
        raise Invalid(errors=nul)
    fit = _patterns(typing.cast(Any, wanted))
    with contextlib.suppress(msgspec.ValidationError):
        accepted = msgspec.convert(value, wanted)
        if fit is None or fit(value):
            return accepted
    return convert(value, wanted)


_Check = Callable[[Any], bool]


@lru_cache(maxsize=256)
def _patterns(wanted: Any) -> _Check | None:
    """Whether a value that the library accepts fits our patterns too, which it reads more generously (see `fits`).

    None when there are none. Worked out once per type: walking a type anew for every body costs more than reading it.
    """
    wanted, meta = _unwrap(wanted)
    if meta is not None and meta.pattern is not None:
        pattern = meta.pattern
        return lambda value: not isinstance(value, str) or fits(pattern, value)
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        options = [a for a in get_args(wanted) if a is not type(None)]
        only = _patterns(options[0]) if len(options) == 1 else None
        return only and (lambda value: value is None or only(value))
    if origin in (list, tuple):
        each = _patterns((get_args(wanted) or (Any,))[0])
        return each and (lambda value: all(each(one) for one in value))
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        fields = {name: check for name, field in _fields(wanted).items() if (check := _patterns(field.type))}
        return (lambda value: all(check(value[n]) for n, check in fields.items() if n in value)) if fields else None
    return None


def convert(value: Any, wanted: type[T], *, strict: bool = True) -> T:
    """A decoded value as `wanted`; `strict=False` reads numbers from text (query strings)."""
    errors = list(_faults(value, wanted, "", strict))
    if errors:
        raise Invalid(errors=errors)
    try:
        return msgspec.convert(value, wanted, strict=strict)
    except msgspec.ValidationError as error:
        # A rule that only the whole value can break. The library's text may repeat the input, so only its path is used.
        raise Invalid(errors=[FieldError(_pointer_of(str(error)), "填写的内容不符合要求")]) from None


def query(arguments: Mapping[str, list[str]], wanted: type[T]) -> T:
    """A query string as `wanted`; a name given twice is refused rather than silently cut."""
    twice = [name for name, values in arguments.items() if len(values) > 1]
    if twice:
        raise Invalid(errors=[FieldError(_pointer("", n), "只能填写一次") for n in twice])
    return convert({name: values[0] for name, values in arguments.items()}, wanted, strict=False)


def fits(pattern: str, value: str) -> bool:
    """Whether the whole text matches, as JSON Schema means it: in Python `$` also stands before a last line end, `\\d` for any script."""
    return _compiled(pattern).fullmatch(value) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _depth(value: Any, level: int = 0) -> int:
    if level > MAX_DEPTH:
        return level
    if isinstance(value, dict):
        return max((_depth(v, level + 1) for v in value.values()), default=level)
    if isinstance(value, list):
        return max((_depth(v, level + 1) for v in value), default=level)
    return level


def _nul_strings(value: Any, pointer: str) -> Iterator[FieldError]:
    """PostgreSQL cannot store U+0000; it must not reach a free-form field either."""
    if isinstance(value, str) and "\x00" in value:
        yield FieldError(pointer or "/", "含有不允许的字符")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if "\x00" in str(name):
                yield FieldError(f"{pointer}/?", "含有不允许的字符")
            yield from _nul_strings(inner, _pointer(pointer, str(name)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _nul_strings(inner, f"{pointer}/{index}")


def _faults(value: Any, wanted: Any, pointer: str, strict: bool) -> Iterator[FieldError]:
    wanted, meta = _unwrap(wanted)
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        yield from _struct_faults(value, wanted, pointer, strict)
        return
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        options = [a for a in get_args(wanted) if a is not type(None)]
        if value is None and len(options) < len(get_args(wanted)):
            return
        if len(options) == 1:
            yield from _faults(value, options[0], pointer, strict)
            return
    if origin in (list, tuple) and isinstance(value, list):
        inner = (get_args(wanted) or (Any,))[0]
        for index, element in enumerate(value[:200]):
            yield from _faults(element, inner, f"{pointer}/{index}", strict)
    if isinstance(value, str) and "\x00" in value:
        yield FieldError(pointer or "/", "含有不允许的字符")
        return
    if isinstance(value, str) and meta is not None and meta.pattern is not None and not fits(meta.pattern, value):
        yield FieldError(pointer or "/", _advice(wanted, meta))
        return
    plain = typing.Annotated[wanted, meta] if meta is not None else wanted
    try:
        msgspec.convert(value, plain, strict=strict)
    except msgspec.ValidationError:
        if not (origin in (list, tuple) and isinstance(value, list) and _is_inner_fault(value, wanted, strict)):
            yield FieldError(pointer or "/", _advice(wanted, meta))


def _is_inner_fault(value: list[Any], wanted: Any, strict: bool) -> bool:
    """Whether the list's own rules hold, so that only its elements (already reported) are at fault."""
    inner = (get_args(wanted) or (Any,))[0]
    return any(True for element in value[:200] for _ in _faults(element, inner, "", strict))


@lru_cache(maxsize=256)
def _fields(wanted: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields of a struct by their names in JSON; resolving them costs more than all the checking."""
    return {field.encode_name: field for field in msgspec.structs.fields(wanted)}


def _struct_faults(value: Any, wanted: type[msgspec.Struct], pointer: str, strict: bool) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield FieldError(pointer or "/", "应为一组字段")
        return
    known = _fields(wanted)
    closed = wanted.__struct_config__.forbid_unknown_fields
    for name in value:
        if closed and name not in known:
            yield FieldError(_pointer(pointer, str(name)), "没有这个字段，请去掉")
    for name, field in known.items():
        if name in value:
            yield from _faults(value[name], field.type, f"{pointer}/{name}", strict)
        elif field.required:
            yield FieldError(f"{pointer}/{name}", "必须填写")


def _unwrap(wanted: Any) -> tuple[Any, msgspec.Meta | None]:
    if get_origin(wanted) is typing.Annotated:
        inner, *extras = get_args(wanted)
        meta = next((e for e in extras if isinstance(e, msgspec.Meta)), None)
        return inner, meta
    return wanted, None


def _pointer(base: str, name: str) -> str:
    # A made-up field name comes from outside and is not repeated unless it looks like one of ours.
    return f"{base}/{name}" if _NAME.fullmatch(name) else f"{base}/?"


def _pointer_of(text: str) -> str:
    found = re.search(r"at `\$((?:\.[a-z_]+|\[\d+\])*)`", text)
    return "/" + re.sub(r"\[(\d+)\]", r"/\1", found.group(1)).replace(".", "/").strip("/") if found else "/"


def _advice(wanted: Any, meta: msgspec.Meta | None) -> str:
    """What to write instead, from the declared rule alone."""
    if meta is not None and meta.description:
        return meta.description
    if get_origin(wanted) is typing.Literal:
        return "只能是：" + "、".join(str(choice) for choice in get_args(wanted))
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return "只能是：" + "、".join(str(choice.value) for choice in wanted)
    kind = next((word for base, word in _KINDS.items() if wanted is base or get_origin(wanted) is base), "规定的格式")
    if meta is None:
        return f"应为{kind}"
    low = meta.min_length if meta.min_length is not None else meta.ge
    high = meta.max_length if meta.max_length is not None else meta.le
    unit = "个字" if wanted is str else ("项" if get_origin(wanted) is list else "")
    if low is not None and high is not None:
        return f"应为{kind}，{low} 到 {high} {unit}".rstrip()
    if high is not None:
        return f"应为{kind}，不超过 {high} {unit}".rstrip()
    return f"应为{kind}" if meta.pattern is None else "格式不正确"
