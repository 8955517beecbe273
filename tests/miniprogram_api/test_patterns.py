"""A pattern speaks about the whole text and about ASCII digits, as the served JSON Schema does."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from kernel.problems import Invalid
from miniprogram_api.app import load_endpoints
from miniprogram_api.items import RegionCode
from miniprogram_api.validation import convert, query


class Lookup(msgspec.Struct, forbid_unknown_fields=True):
    case_no: Annotated[str, Meta(pattern=r"^\d{21}$", description="办件编号为 21 位数字")]
    region: RegionCode | None = None
    codes: list[Annotated[str, Meta(pattern=r"^[a-z]{2}$")]] = []


@pytest.mark.parametrize(
    "value", ["1" * 21 + "\n", "\n" + "1" * 21, "１" * 21, "٣" * 21, "1" * 20, "1" * 22, " " + "1" * 21]
)
def test_a_text_that_only_looks_as_if_it_fits_is_refused(value):
    for read in (convert, lambda given, kind: query({name: [v] for name, v in given.items()}, kind)):
        with pytest.raises(Invalid) as refused:
            read({"case_no": value}, Lookup)
        assert [(e.pointer, e.message) for e in refused.value.errors] == [("/case_no", "办件编号为 21 位数字")]


def test_a_text_that_fits_is_taken():
    found = convert({"case_no": "1" * 21, "region": "620981", "codes": ["ab"]}, Lookup)
    assert (found.case_no, found.region, found.codes) == ("1" * 21, "620981", ["ab"])


def test_patterns_inside_optional_fields_and_lists_count_too():
    with pytest.raises(Invalid) as refused:
        convert({"case_no": "1" * 21, "region": "620981\n", "codes": ["ab", "ab\n"]}, Lookup)
    assert [e.pointer for e in refused.value.errors] == ["/region", "/codes/1"]


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
