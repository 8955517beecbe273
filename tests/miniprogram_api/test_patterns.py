"""A pattern speaks about the whole text and about ASCII digits, as the served JSON Schema does."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from kernel.problems import Invalid
from miniprogram_api.app import load_endpoints
from miniprogram_api.items import RegionCode
from miniprogram_api.validation import convert, decode, query


class Lookup(msgspec.Struct, forbid_unknown_fields=True):
    case_no: Annotated[str, Meta(pattern=r"^\d{21}$", description="办件编号为 21 位数字")]
    region: RegionCode | None = None
    codes: list[Annotated[str, Meta(pattern=r"^[a-z]{2}$")]] = []


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Lookup | None = None
    more: list[Lookup] = []


@pytest.mark.parametrize(
    "value", ["1" * 21 + "\n", "\n" + "1" * 21, "１" * 21, "٣" * 21, "1" * 20, "1" * 22, " " + "1" * 21]
)
def test_a_text_that_only_looks_as_if_it_fits_is_refused(value):
    reads = (
        convert,
        lambda given, kind: query({name: [v] for name, v in given.items()}, kind),
        lambda given, kind: decode(msgspec.json.encode(given), kind),
    )
    for read in reads:
        with pytest.raises(Invalid) as refused:
            read({"case_no": value}, Lookup)
        assert [(e.pointer, e.message) for e in refused.value.errors] == [("/case_no", "办件编号为 21 位数字")]


def test_a_text_that_fits_is_taken():
    found = convert({"case_no": "1" * 21, "region": "620981", "codes": ["ab"]}, Lookup)
    assert (found.case_no, found.region, found.codes) == ("1" * 21, "620981", ["ab"])


@pytest.mark.parametrize("read", [convert, lambda given, kind: decode(msgspec.json.encode(given), kind)])
def test_patterns_inside_optional_fields_lists_and_structs_count_too(read):
    wrong = {"case_no": "1" * 21, "region": "620981\n", "codes": ["ab", "ab\n"]}
    with pytest.raises(Invalid) as refused:
        read(wrong, Lookup)
    assert [e.pointer for e in refused.value.errors] == ["/region", "/codes/1"]
    with pytest.raises(Invalid) as refused:
        read({"inner": {"case_no": "1" * 21}, "more": [{"case_no": "1" * 21}, wrong]}, Outer)
    assert [e.pointer for e in refused.value.errors] == ["/more/1/region", "/more/1/codes/1"]


def test_a_body_that_fits_is_taken_by_both_ways_of_reading():
    for given, kind in (({"case_no": "1" * 21, "region": None}, Lookup), ({"inner": {"case_no": "1" * 21}}, Outer)):
        assert decode(msgspec.json.encode(given), kind) == convert(given, kind)


@pytest.mark.parametrize("code", ["000000", "000000000000", "062098", "62098", "6209811", "62098110000"])
def test_a_region_code_begins_with_a_province(code):
    with pytest.raises(Invalid):
        convert({"case_no": "1" * 21, "region": code}, Lookup)


def test_every_pattern_of_the_edge_is_anchored_at_both_ends():
    """Otherwise JSON Schema and we would disagree about what comes before and behind."""
    kinds = [kind for row in load_endpoints() for kind in (row.body, row.query) if kind is not None]
    schemas, parts = msgspec.json.schema_components(kinds)
    found = list(_patterns([schemas, parts]))
    assert found
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in found)


def _patterns(part):
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "pattern" and isinstance(value, str))
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from _patterns(inner)
