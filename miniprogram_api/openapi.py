"""The served OpenAPI 3.1 document, generated from the table of endpoints and the msgspec types with their constraints."""

from typing import Any

import msgspec

from miniprogram_api.endpoints import PATH_RULES, Endpoint
from miniprogram_api.problems import ProblemBody

_REF = "#/components/schemas/{name}"
_REFUSALS = {
    "400": "请求格式不正确", "401": "没有登录或登录已过期", "403": "没有权限", "404": "没有找到（别人的也算没有）",
    "405": "不支持这种请求方式", "408": "没有按时传完", "409": "当前状态不允许", "413": "内容太大", "415": "文件类型不支持",
    "422": "填写有误，逐项列出", "428": "需要先提高实名等级", "429": "太频繁", "503": "稍后再试，内容没有丢失",
}  # fmt: skip


def document(rows: list[Endpoint], *, version: str) -> dict[str, Any]:
    """The whole document. Objects are closed, required fields are named, integers carry their bounds."""
    types = sorted({t for r in rows for t in (r.body, r.answer, r.query) if t is not None} | {ProblemBody}, key=str)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for row in rows:
        operation = _operation(row, by_type)
        paths.setdefault(row.route, {})[row.method.lower()] = operation
        if row.method == "PATCH" and not any(r.route == row.route and r.method == "POST" for r in rows):
            override = {
                "name": "X-HTTP-Method-Override", "in": "header", "required": True, "schema": {"const": "PATCH"},
            }  # fmt: skip
            paths[row.route]["post"] = {
                **operation, "operationId": operation["operationId"] + "_by_post",
                "parameters": [*operation.get("parameters", []), override],
            }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "掌上办",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "政务服务掌上办渠道接口。金额一律为整数分，时间带 +08:00，错误为 application/problem+json。",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(row: Endpoint, by_type: dict[type, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": row.handler.__name__,
        "summary": row.summary,
        "tags": [row.tag],
        "responses": _responses(row, by_type),
    }
    if row.roles:
        operation["security"] = [{"token": []}]
    parameters = [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{PATH_RULES[n]}$"}}
        for n in row.parameters
    ]
    if row.query is not None:
        parameters += [_query_parameter(f) for f in msgspec.structs.fields(row.query)]
    if row.idempotent:
        text = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": True, "schema": text})
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        content = {"application/json": {"schema": by_type[row.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    elif row.streamed:
        operation["requestBody"] = {"required": True, "content": _stream_content(row)}
    return operation


def _stream_content(row: Endpoint) -> dict[str, Any]:
    if row.method == "PATCH":
        return {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    fields = {"file": {"type": "string", "format": "binary"}}
    return {"multipart/form-data": {"schema": {"type": "object", "properties": fields, "required": ["file"]}}}


def _query_parameter(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    schema = msgspec.json.schema(field.type)
    if "anyOf" in schema:  # X | None in a query string simply means that it may be left out
        schema = next(s for s in schema["anyOf"] if s.get("type") != "null")
    return {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}


def _responses(row: Endpoint, by_type: dict[type, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": row.summary}
    if row.raw_answer is not None:
        good["content"] = {row.raw_answer: {"schema": _raw_schema(row)}}
    elif row.answer is not None:
        good["content"] = {"application/json": {"schema": by_type[row.answer]}}
    problem = {"application/problem+json": {"schema": by_type[ProblemBody]}}
    if row.path.startswith(("/callbacks/", "/verify/")):  # partners and strangers are also refused in their own words
        problem = {**problem, str(row.raw_answer): {"schema": _raw_schema(row)}}
    responses: dict[str, Any] = {str(row.status): good}
    if row.etag:
        responses["304"] = {"description": "没有变化"}
    responses |= {code: {"description": text, "content": problem} for code, text in _REFUSALS.items()}
    return responses


def _raw_schema(row: Endpoint) -> dict[str, str]:
    """Bytes that we do not describe further; JSON is at least an object."""
    return {"type": "object"} if row.raw_answer == "application/json" else {"type": "string", "format": "binary"}
