"""/docs tells a client's author which fields every call takes and answers, and loads nothing."""

import re

import msgspec
import pytest

from miniprogram_api import operations, reference
from miniprogram_api.app import load_endpoints

load_endpoints()
DOCUMENT = msgspec.json.decode(operations.description())
PAGE = reference.page(operations.description()).decode()
CALLS = {
    found[1]: found[0] for found in re.findall(r"(<h3>([A-Z]+ [^<]+)<span>.*?)(?=<h3>|<h2>|</html>)", PAGE, re.DOTALL)
}
SCHEMAS = DOCUMENT["components"]["schemas"]


def fields(schema) -> list[str]:
    return list(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]]["properties"]) if "$ref" in schema else []


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_every_field_of_the_body_and_the_answer_is_told(path):
    for method, operation in DOCUMENT["paths"][path].items():
        told = CALLS[f"{method.upper()} {path}"]
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [answer.get("content", {}) for code, answer in operation["responses"].items() if code[0] == "2"]
        for content in contents:
            for media, described in content.items():
                assert media in told
                for name in fields(described["schema"]):
                    assert f"<td>{name}</td>" in told, name


def test_fields_inside_are_told_with_their_rule():
    told = CALLS["POST /api/v1/cases/{case_no}/submission"]
    assert "<td>delivery.recipient.name</td><td>文字</td><td>必填</td>" in told
    assert "<td>materials[].material_ids</td>" in told


def test_nothing_is_loaded_and_nothing_runs():
    assert "<script" not in PAGE
    assert not re.search(r"(?:src|href)\s*=\s*.?(?:https?:)?//", PAGE)
