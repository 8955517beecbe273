"""The short way in which item files write a form, and its translation into the JSON Schema subset of `forms`.
Files only, never phones.

A clerk writes one line per field; the schema with its conditions is built here, so that no file repeats the machinery.
"""

from typing import Any, Literal

import msgspec

Kind = Literal[
    "text", "long_text", "choice", "choices", "number", "date", "yes_no", "must_agree", "mobile", "phone", "id_number", "uscc", "group"
]  # fmt: skip


class FieldSource(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a form. `when` names the fixed value another field must have for this one to appear."""

    key: str
    label: str
    kind: Kind
    required: bool = True
    options: list[str] = []
    min: int | None = None
    max: int | None = None
    pattern: str | None = None
    unit: str | None = None
    help: str | None = None
    elder_help: str | None = None
    placeholder: str | None = None
    prefill: str | None = None
    when: dict[str, str | bool] = {}
    fields: "list[FieldSource]" = []


_FORMATS = {"date": "date", "mobile": "mobile", "phone": "phone", "id_number": "id-number", "uscc": "uscc"}
_WIDGETS = {
    "long_text": "textarea",
    "choice": "picker",
    "choices": "checkboxes",
    "yes_no": "switch",
    "must_agree": "agree",
}
_TEXT_LENGTH, _LONG_TEXT_LENGTH, _LONGEST_CODE = 60, 500, 40


def schema(fields: list[FieldSource], *, title: str | None = None) -> dict[str, Any]:
    """The JSON Schema of a list of lines, closed and with its conditions."""
    built: dict[str, Any] = {"type": "object"}
    if title:
        built["title"] = title
    built["additionalProperties"] = False
    built["properties"] = {field.key: _field(field, order) for order, field in enumerate(fields, start=1)}
    required = [field.key for field in fields if field.required and not field.when]
    if required:
        built["required"] = required
    rules = [_rule(field) for field in fields if field.when]
    if rules:
        built["allOf"] = rules
    return built


def _field(field: FieldSource, order: int) -> dict[str, Any]:
    body: dict[str, Any]
    if field.kind == "group":
        body = {"type": "array", "items": schema(field.fields), "minItems": field.min or 0, "maxItems": field.max or 10}
    elif field.kind == "choices":
        body = {
            "type": "array",
            "items": {"type": "string", "enum": field.options},
            "minItems": 1 if field.required else 0,
            "maxItems": len(field.options),
            "uniqueItems": True,
        }
    else:
        body = _simple(field)
    body["title"] = field.label
    body["x-ui"] = _ui(field, order)
    return body


def _simple(field: FieldSource) -> dict[str, Any]:
    match field.kind:
        case "choice":
            return {"type": "string", "enum": field.options}
        case "number":
            bounds = {"minimum": field.min, "maximum": field.max}
            return {"type": "integer", **{key: value for key, value in bounds.items() if value is not None}}
        case "yes_no":
            return {"type": "boolean"}
        case "must_agree":
            return {"type": "boolean", "const": True}
        case "text" | "long_text":
            longest = _TEXT_LENGTH if field.kind == "text" else _LONG_TEXT_LENGTH
            body = {"type": "string", "minLength": field.min or 1, "maxLength": field.max or longest}
            return body | ({"pattern": field.pattern} if field.pattern else {})
        case _:
            return {"type": "string", "format": _FORMATS[field.kind], "maxLength": _LONGEST_CODE}


def _ui(field: FieldSource, order: int) -> dict[str, Any]:
    ui: dict[str, Any] = {"order": order}
    if field.kind in _WIDGETS:
        ui["widget"] = _WIDGETS[field.kind]
    for name in ("unit", "help", "elder_help", "placeholder", "prefill"):
        if (text := getattr(field, name)) is not None:
            ui[name] = text
    return ui


def _rule(field: FieldSource) -> dict[str, Any]:
    condition = {
        "properties": {key: {"const": value} for key, value in field.when.items()},
        "required": list(field.when),
    }
    then = {"required": [field.key]} if field.required else {}
    return {"if": condition, "then": then, "else": {"properties": {field.key: False}}}
