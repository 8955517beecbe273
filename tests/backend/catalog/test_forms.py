"""The form dialect: the shared conformance cases, what a form may not contain, and the short way clerks write it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.catalog import forms
from backend.catalog.form_shorthand import FieldSource, schema

CASES = json.loads((Path(__file__).parent / "forms_conformance.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_conformance(case):
    assert forms.check_schema(case["schema"]) == ()
    faults = forms.validate(case["schema"], case["data"])
    assert [fault.pointer for fault in faults] == case["faults"]
    assert [fault.message for fault in faults] == case["messages"]


def form(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties}


TEXT = {"type": "string", "title": "甲", "maxLength": 9}


@pytest.mark.parametrize(
    ("bad", "pointer", "words"),
    [
        ([], "", "object"),
        ({"type": "object", "properties": {"a": TEXT}}, "", "additionalProperties"),
        (form(), "/properties", "至少要有一个栏目"),
        (form(a={"type": "string", "maxLength": 9}), "/properties/a/title", "中文名称"),
        (form(a={"type": "string", "title": "甲"}), "/properties/a/maxLength", "最大长度"),
        (form(a={"type": "null", "title": "甲"}), "/properties/a/type", "type 只能是"),
        (form(a=TEXT | {"$ref": "http://evil"}), "/properties/a/$ref", "不能使用关键字"),
        (form(a=TEXT | {"oneOf": []}), "/properties/a/oneOf", "不能使用关键字"),
        (form(a=TEXT | {"format": "email"}), "/properties/a/format", "format 只能是"),
        (form(a=TEXT | {"x-ui": {"colour": "red"}}), "/properties/a/x-ui/colour", "x-ui 里没有"),
        (form(a={"type": "array", "title": "甲", "items": form(b=TEXT)}), "/properties/a/maxItems", "最多几项"),
        (form(a=TEXT) | {"required": ["b"]}, "/required", "没有名为 b"),
        (form(a=TEXT) | {"allOf": [{"if": {}}]}, "/allOf/0", "条件只能写"),
        (
            form(a=TEXT) | {"allOf": [{"if": {"properties": {"a": {"minLength": 3}}}, "then": {}}]},
            "/allOf/0/if/properties/a",
            "const 或 enum",
        ),
        (
            form(a=TEXT) | {"allOf": [{"if": {"properties": {"z": {"const": "1"}}}, "then": {}}]},
            "/allOf/0/if/properties",
            "没有名为 z",
        ),
        (form(a=TEXT | {"pattern": "("}), "", "不是合法的"),
    ],
)
def test_what_is_outside_the_dialect_is_named(bad, pointer, words):
    assert any(fault.pointer == pointer and words in fault.message for fault in forms.check_schema(bad))


def test_groups_may_not_be_nested_without_end():
    inner = form(a=TEXT)
    for _ in range(5):
        inner = form(a=inner | {"title": "组"})
    assert any("太深" in fault.message for fault in forms.check_schema(inner))


def test_the_short_way_becomes_the_dialect():
    built = schema(
        [
            FieldSource(key="who", label="给谁办", kind="choice", options=["本人", "老人"]),
            FieldSource(key="elder", label="老人姓名", kind="text", min=2, when={"who": "老人"}),
            FieldSource(key="note", label="说明", kind="long_text", required=False, when={"who": "老人"}),
            FieldSource(key="age", label="年龄", kind="number", min=0, max=130, unit=" 岁", required=False),
            FieldSource(key="kinds", label="险种", kind="choices", options=["甲", "乙"]),
            FieldSource(
                key="family",
                label="家人",
                kind="group",
                min=1,
                max=3,
                fields=[FieldSource(key="id", label="身份证号码", kind="id_number")],
            ),
            FieldSource(key="agree", label="我承诺属实", kind="must_agree"),
        ]
    )
    assert forms.check_schema(built) == ()
    assert built["required"] == ["who", "kinds", "family", "agree"]
    good = {"who": "本人", "kinds": ["甲"], "family": [{"id": "57010119740923019X"}], "agree": True}
    assert forms.validate(built, good) == ()
    assert forms.validate(built, good | {"who": "老人", "elder": "王秀兰", "note": "住院"}) == ()
    assert [f.pointer for f in forms.validate(built, good | {"note": "没有老人"})] == ["/note"]
    assert [f.pointer for f in forms.validate(built, good | {"age": 131, "family": []})] == ["/age", "/family"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=JSON, case=st.sampled_from(CASES))
def test_no_data_breaks_the_check_and_every_message_is_chinese(data, case):
    for fault in forms.validate(case["schema"], data):
        assert any("\u4e00" <= character <= "\u9fff" for character in fault.message)


@given(schema=JSON)
def test_no_schema_breaks_the_check_of_schemas(schema):
    assert forms.check_schema(schema)
