"""Forms of items: the written subset of JSON Schema 2020-12 they may use (docs/forms.md) and the check of filled-
in data against it.

The phone checks the same subset; `tests/backend/catalog/forms_conformance.json` is run by both sides. Nothing here
stores anything.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import jsonschema_rs
import msgspec

from backend.formats import identity_number, phones, uscc
from kernel.problems import FieldError

Schema = dict[str, Any]

_COMMON = {"type", "title", "description", "x-ui"}
_KEYWORDS: dict[str, set[str]] = {
    "string": {"minLength", "maxLength", "pattern", "enum", "const", "format"},
    "integer": {"minimum", "maximum", "enum", "const"},
    "number": {"minimum", "maximum"},
    "boolean": {"const"},
    "array": {"items", "minItems", "maxItems", "uniqueItems"},
    "object": {"properties", "required", "additionalProperties", "allOf"},
}
_CONDITION = {"properties", "required"}
_X_UI = {"order", "widget", "help", "elder_help", "placeholder", "labels", "prefill", "unit", "autocomplete"}
FORMATS = ("date", "id-number", "mobile", "phone", "uscc")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # all but tab and line end
_DEEPEST = 4
_MOST_MESSAGES = 50


def check_schema(schema: Any) -> tuple[FieldError, ...]:
    """Everything in a form that is outside the subset; a form with any of it cannot be published."""
    found = list(_check_object(schema, "", depth=0))
    if not found:
        try:
            _validator(_key(schema))
        except (jsonschema_rs.ValidationError, ValueError):
            found.append(FieldError("", "表单本身不是合法的 JSON Schema"))
    return tuple(found)


def validate(form_schema: Schema, data: Any) -> tuple[FieldError, ...]:
    """Every fault of the data at once, as JSON pointer and Chinese message; empty when the form may be submitted."""
    if not isinstance(data, dict):
        return (FieldError("", "表单内容应为一个对象"),)
    found = [
        FieldError(pointer, "文字里有不能识别的控制字符，请删除后重填") for pointer in _control_characters(data, "")
    ]
    for error in _validator(_key(form_schema)).iter_errors(data):
        found.extend(_messages(form_schema, error))
        if len(found) >= _MOST_MESSAGES:
            break
    unique = {(error.pointer, error.message): error for error in found}
    return tuple(sorted(unique.values(), key=lambda error: error.pointer))


# ------------------------------------------------------------------------------------------------ the subset


def _check_object(schema: Any, at: str, *, depth: int) -> Iterator[FieldError]:
    if not isinstance(schema, dict) or schema.get("type") != "object":
        yield FieldError(at, "应为 type 是 object 的表单")
        return
    if depth >= _DEEPEST:
        yield FieldError(at, "分组套得太深")
        return
    yield from _keywords(schema, at)
    if schema.get("additionalProperties") is not False:
        yield FieldError(at, "必须写 additionalProperties: false，表单不能收集没有列出的内容")
    properties = schema.get("properties", {})
    if not isinstance(properties, dict) or not properties:
        yield FieldError(f"{at}/properties", "至少要有一个栏目")
        return
    for name, field in properties.items():
        yield from _check_field(field, f"{at}/properties/{_escaped(name)}", depth=depth)
    yield from _known(schema.get("required", []), properties, f"{at}/required")
    for index, rule in enumerate(schema.get("allOf", [])):
        yield from _check_rule(rule, properties, f"{at}/allOf/{index}")


def _check_field(field: Any, at: str, *, depth: int) -> Iterator[FieldError]:
    if not isinstance(field, dict):
        yield FieldError(at, "栏目应为一个对象")
        return
    kind = field.get("type")
    if kind not in _KEYWORDS:
        yield FieldError(f"{at}/type", "type 只能是 string、integer、number、boolean、array、object 之一")
        return
    if not str(field.get("title", "")).strip():
        yield FieldError(f"{at}/title", "每个栏目都要有中文名称")
    if kind == "object":
        yield from _check_object(field, at, depth=depth + 1)
        return
    yield from _keywords(field, at)
    if kind == "string" and "maxLength" not in field and "enum" not in field and "format" not in field:
        yield FieldError(f"{at}/maxLength", "文字栏目必须写最大长度")
    if "format" in field and field["format"] not in FORMATS:
        yield FieldError(f"{at}/format", f"format 只能是 {'、'.join(FORMATS)} 之一")
    if kind == "array":
        yield from _check_array(field, at, depth=depth)


def _check_array(field: Schema, at: str, *, depth: int) -> Iterator[FieldError]:
    if not isinstance(field.get("maxItems"), int):
        yield FieldError(f"{at}/maxItems", "可重复的分组必须写最多几项")
    items = field.get("items")
    if isinstance(items, dict) and items.get("type") == "string" and "enum" in items:
        return  # several choices from a list
    yield from _check_object(items, f"{at}/items", depth=depth + 1)


def _check_rule(rule: Any, properties: Schema, at: str) -> Iterator[FieldError]:
    """if: fixed values of fields. then: what becomes required. else: what must not be filled in (`false`)."""
    if not isinstance(rule, dict) or not {"if", "then"} <= set(rule) <= {"if", "then", "else"}:
        yield FieldError(at, "条件只能写 if、then 和可选的 else")
        return
    for part, body in rule.items():
        if not isinstance(body, dict) or not set(body) <= _CONDITION:
            yield FieldError(f"{at}/{part}", "条件里只能写 properties 和 required")
            continue
        yield from _known(body.get("required", []), properties, f"{at}/{part}/required")
        yield from _known(list(body.get("properties", {})), properties, f"{at}/{part}/properties")
        for name, inner in body.get("properties", {}).items():
            if not _fits(part, inner):
                yield FieldError(
                    f"{at}/{part}/properties/{_escaped(name)}", "if 里只能写 const 或 enum，then 和 else 里只能写 false"
                )


def _fits(part: str, inner: Any) -> bool:
    if part == "if":
        return isinstance(inner, dict) and len(inner) == 1 and next(iter(inner)) in ("const", "enum")
    return inner is False


def _keywords(schema: Schema, at: str) -> Iterator[FieldError]:
    allowed = _COMMON | _KEYWORDS[schema["type"]] | ({"$schema"} if not at else set())
    for keyword in sorted(set(schema) - allowed):
        yield FieldError(f"{at}/{_escaped(keyword)}", f"表单不能使用关键字 {keyword}")
    for key in sorted(set(schema.get("x-ui", {})) - _X_UI):
        yield FieldError(f"{at}/x-ui/{key}", f"x-ui 里没有 {key}")


def _known(names: Any, properties: Schema, at: str) -> Iterator[FieldError]:
    for name in names if isinstance(names, list) else []:
        if name not in properties:
            yield FieldError(at, f"没有名为 {name} 的栏目")


# ------------------------------------------------------------------------------------------------ checking data


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_CHECKS = {
    "date": _is_date,
    "id-number": lambda text: not identity_number.faults(text),
    "mobile": phones.is_mobile,
    "phone": phones.is_contact,
    "uscc": lambda text: not uscc.check(text).faults,
}


def _key(schema: Schema) -> bytes:
    return msgspec.json.encode(schema)


@functools.lru_cache(maxsize=256)
def _validator(key: bytes) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        msgspec.json.decode(key),
        validate_formats=True,
        formats=_CHECKS,
        pattern_options=jsonschema_rs.RegexOptions(),  # linear time: no pattern can be made to hang
    )


def _messages(form_schema: Schema, error: jsonschema_rs.ValidationError) -> Iterator[FieldError]:
    path = [*error.instance_path]
    field = _field(form_schema, path)
    label = str(field.get("title", "")) if field else ""
    name, value = error.kind.name, error.kind.value
    if name == "required":
        missing = _field(form_schema, [*path, value]) or {}
        yield FieldError(_pointer([*path, value]), f"请填写“{missing.get('title', value)}”")
    elif name == "additionalProperties":
        for extra in value:
            yield FieldError(_pointer([*path, extra]), "这一栏不在表单里，请删除")
    elif name == "falseSchema":
        yield FieldError(_pointer(path), f"按您的选择，“{label}”不需要填写")
    else:
        yield FieldError(_pointer(path), _sentence(name, value, field or {}, label))


def _sentence(name: str, value: Any, field: Schema, label: str) -> str:
    if name == "format":
        return _format_sentence(str(value), label)
    if name == "minLength" and value == 1:
        return f"请填写“{label}”"
    unit = field.get("x-ui", {}).get("unit", "")
    sentences = {
        "type": f"“{label}”应填写{_type_words(value)}",
        "enum": f"“{label}”请从列出的选项中选择",
        "const": f"“{label}”需要选择“{_shown(value)}”才能继续",
        "minLength": f"“{label}”至少填写 {value} 个字",
        "maxLength": f"“{label}”最多填写 {value} 个字",
        "pattern": f"“{label}”的格式不对{_hint(field)}",
        "minimum": f"“{label}”不能小于 {value}{unit}",
        "maximum": f"“{label}”不能大于 {value}{unit}",
        "minItems": f"“{label}”至少填写 {value} 项",
        "maxItems": f"“{label}”最多填写 {value} 项",
        "uniqueItems": f"“{label}”里有重复的内容",
    }
    return sentences.get(name, f"“{label}”填写有误")


def _format_sentence(kind: str, label: str) -> str:
    return {
        "date": f"“{label}”请填写真实的日期，例如 2026-11-20",
        "id-number": f"“{label}”不是正确的身份证号码，请逐位核对",
        "mobile": f"“{label}”应为 11 位手机号码",
        "phone": f"“{label}”应为手机号码，或带区号的固定电话",
        "uscc": f"“{label}”不是正确的统一社会信用代码，请对照执照核对",
    }[kind]


def _type_words(kind: Any) -> str:
    words = {
        "string": "文字",
        "integer": "整数",
        "number": "数字",
        "boolean": "是或否",
        "array": "列表",
        "object": "一组内容",
    }
    name = kind[0] if isinstance(kind, list) and kind else kind
    return words.get(str(name), "正确的内容")


def _shown(value: Any) -> str:
    return {True: "是", False: "否"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _hint(field: Schema) -> str:
    text = field.get("x-ui", {}).get("help")
    return f"：{text}" if text else ""


def _field(schema: Schema, path: Sequence[str | int]) -> Schema | None:
    """The schema of the field a path leads to, through groups and repeating groups."""
    here: Any = schema
    for step in path:
        here = here.get("items") if isinstance(step, int) else here.get("properties", {}).get(step)
        if not isinstance(here, dict):
            return None
    if "title" not in here and path and isinstance(path[-1], int):
        return _field(schema, path[:-1])
    found: Schema = here
    return found


def _pointer(path: Sequence[str | int]) -> str:
    return "".join(f"/{_escaped(str(step))}" for step in path)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _control_characters(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, str):
        if _CONTROL.search(value):
            yield at
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _control_characters(inner, f"{at}/{_escaped(str(name))}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _control_characters(inner, f"{at}/{index}")
