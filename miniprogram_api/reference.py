"""The page at /docs, made from the OpenAPI document: every call with the fields it takes and answers. No scripts, no foreign host."""

import html
from collections.abc import Iterator
from typing import Any

import msgspec

_DEEP = 4
_STYLE = (
    "body{font:16px/1.6 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "h3{margin:2rem 0 .3rem;font:600 1rem/1.4 monospace}h3 span{font:1rem sans-serif;margin-left:.6rem}p{margin:.3rem 0}"
    "table{border-collapse:collapse;width:100%;margin:.4rem 0}caption{text-align:left;color:#555}"
    "td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "td:first-child{font-family:monospace;width:16rem}td:nth-child(2){width:10rem}td:nth-child(3){width:4rem}"
)
_TYPES = {
    "string": "文字", "integer": "整数", "number": "数", "boolean": "是或否", "array": "列表", "object": "对象", "null": "空",
}  # fmt: skip
_RULES = (
    ("minLength", "至少 {} 字"), ("maxLength", "至多 {} 字"), ("minimum", "不小于 {}"), ("maximum", "不大于 {}"),
    ("minItems", "至少 {} 项"), ("maxItems", "至多 {} 项"), ("minProperties", "至少 {} 项"), ("maxProperties", "至多 {} 项"),
    ("pattern", "格式 {}"), ("const", "固定为 {}"),
)  # fmt: skip
_PLACES = {"path": "地址", "query": "问号后", "header": "请求头"}
Cells = tuple[str, str, str, str]


def page(description: bytes) -> bytes:
    """The whole page for a served OpenAPI document."""
    document: dict[str, Any] = msgspec.json.decode(description)
    schemas = document["components"]["schemas"]
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_call(method, path, operation, schemas))
    body = "".join(f"<h2>{html.escape(tag)}</h2>{''.join(calls)}" for tag, calls in by_tag.items())
    return (
        "<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>掌上办 接口说明</title><style>{_STYLE}</style><h1>掌上办 接口说明</h1>"
        "<p>完整的机器可读描述见 <a href=/openapi.json>/openapi.json</a>。错误一律为 application/problem+json。</p>"
        f"{body}</html>"
    ).encode()


def _call(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    login = "需登录" if "security" in operation else "公开"
    head = f"<h3>{method.upper()} {html.escape(path)}<span>{html.escape(operation['summary'])}（{login}）</span></h3>"
    given = [
        (p["name"], _type(p["schema"], schemas), _need(p["required"]), _rule(p["schema"], _PLACES[p["in"]]))
        for p in operation.get("parameters", [])
    ]
    parts = [head, _table("参数", given)]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(
            _table(f"请求内容 {media}", list(_fields(content["schema"], schemas, deep=_DEEP)), empty="整个内容")
        )
    for code, answer in operation["responses"].items():
        if code.startswith("2"):
            parts.append(_answer(code, answer, schemas))
    return "".join(parts)


def _answer(code: str, answer: dict[str, Any], schemas: dict[str, Any]) -> str:
    if not answer.get("content"):
        return f"<p>答复 {code}，没有内容</p>"
    return "".join(
        _table(f"答复 {code} {media}", list(_fields(content["schema"], schemas, deep=1)), empty="不再细分")
        for media, content in answer["content"].items()
    )


def _fields(schema: dict[str, Any], schemas: dict[str, Any], *, deep: int, prefix: str = "") -> Iterator[Cells]:
    """The fields of an object, those of objects inside it after it with a dotted name."""
    found = _resolved(schema, schemas)
    required = found.get("required", ())
    for name, field in found.get("properties", {}).items():
        known = _resolved(field, schemas)
        yield (
            prefix + name,
            _type(field, schemas),
            _need(name in required),
            _rule(known, "", default=field.get("default")),
        )
        inner, mark = (known.get("items", {}), "[].") if known.get("type") == "array" else (known, ".")
        if deep > 1:
            yield from _fields(inner, schemas, deep=deep - 1, prefix=prefix + name + mark)


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Behind references and behind “or null”."""
    if "anyOf" in schema:
        schema = next(s for s in schema["anyOf"] if s.get("type") != "null")
    if "$ref" in schema:
        return _resolved(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    return schema


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    found = _resolved(schema, schemas)
    words = "、".join(map(str, found["enum"])) if "enum" in found else _TYPES.get(found.get("type", ""), "任意")
    if found.get("type") == "array" and found.get("items"):
        words += "：" + _type(found["items"], schemas)
    may_be_null = any(s.get("type") == "null" for s in schema.get("anyOf", ()))
    return words + ("，可为空" if may_be_null else "")


def _need(required: bool) -> str:
    return "必填" if required else "可不填"


def _rule(schema: dict[str, Any], place: str, *, default: Any = None) -> str:
    """What a value must keep to, in words; descriptions of whole objects are for developers and stay out."""
    said = [place] if place else []
    if "properties" not in schema and "enum" not in schema and schema.get("description"):
        said.append(schema["description"])
    said += [text.format(schema[name]) for name, text in _RULES if name in schema]
    if default is not None and default not in ([], {}):
        said.append(f"不填为 {msgspec.json.encode(default).decode()}")
    return "；".join(said)


def _table(title: str, rows: list[Cells], *, empty: str = "") -> str:
    if not rows:
        return f"<p>{html.escape(title)}：{empty}</p>" if empty else ""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><caption>{html.escape(title)}</caption><tr><th>名称</th><th>类型</th><th>必填</th><th>规则</th></tr>{body}</table>"
