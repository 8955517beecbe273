"""The zone table: each zone, its borders, the gap the source leaves open, and tables that must not be loaded."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.delivery import tariff

SEED_LIKE = {
    "document_no": "玉政办发〔2018〕1号",
    "valid_from": "2018-12-21",
    "valid_to": None,
    "zones": [
        {"name": "市区", "include": ["620981001", "620981002"], "exclude": [], "amount_fen": 400},
        {"name": "乡镇", "include": ["620981101", "620981102"], "exclude": [], "amount_fen": 600},
        {"name": "酒泉", "include": ["6209"], "exclude": ["620981"], "amount_fen": 800},
        {"name": "省外", "include": [""], "exclude": ["62"], "amount_fen": "ask_carrier"},
    ],
}
DAY = date(2026, 11, 20)


def price(region_code: str) -> tariff.ZonePrice:
    return tariff.parse(SEED_LIKE).price(region_code, on=DAY)


@pytest.mark.parametrize(
    ("region", "zone", "amount"),
    [
        ("620981001000", "市区", 400),
        ("620981001003", "市区", 400),  # a neighbourhood below the street
        ("620981101000", "乡镇", 600),
        ("620981102207", "乡镇", 600),
        ("620902000000", "酒泉", 800),
        ("620982001000", "酒泉", 800),  # the county next door, one digit away
        ("620900000000", "酒泉", 800),
        ("310101000000", "省外", None),
        ("630000000000", "省外", None),
    ],
)
def test_every_zone_and_its_borders(region: str, zone: str, amount: int | None) -> None:
    found = price(region)
    assert (found.zone, found.amount_fen) == (zone, amount)
    assert found.table_version == "玉政办发〔2018〕1号@2018-12-21"


@pytest.mark.parametrize(
    "region",
    [
        "620100000000",  # Lanzhou: the source prices no other city of the province
        "620000000000",
        "621000000000",
        "620981003000",  # a street nobody has listed
    ],
)
def test_a_place_without_a_price_is_refused_and_the_window_calls(region: str) -> None:
    with pytest.raises(tariff.ZoneUnknown) as refusal:
        price(region)
    assert "打电话" in refusal.value.detail


def test_a_whole_county_whose_towns_have_prices_is_asked_for_the_town() -> None:
    """The county as a whole is neither city area nor a township; nobody has to call for that."""
    with pytest.raises(tariff.ZoneUnknown) as refusal:
        price("620981000000")
    (error,) = refusal.value.errors
    assert (error.pointer, error.message) == ("/region_code", "请选择到乡镇或街道")
    assert refusal.value.detail == "请选择到乡镇或街道"


def test_the_longest_prefix_wins() -> None:
    table = {
        **SEED_LIKE,
        "zones": [*SEED_LIKE["zones"], {"name": "一村", "include": ["620981101201"], "amount_fen": 1}],
    }
    assert tariff.parse(table).price("620981101201", on=DAY).zone == "一村"
    assert tariff.parse(table).price("620981101202", on=DAY).zone == "乡镇"


def test_a_padded_code_means_everything_below_it() -> None:
    table = {**SEED_LIKE, "zones": [{"name": "一镇", "include": ["620981101000"], "amount_fen": 1}]}
    assert tariff.parse(table).price("620981101205", on=DAY).amount_fen == 1


def test_a_new_table_counts_from_its_first_day_on() -> None:
    old = {**SEED_LIKE, "valid_to": "2026-12-31"}
    new = {**SEED_LIKE, "document_no": "新表", "valid_from": "2027-01-01"}
    new["zones"] = [{"name": "市区", "include": ["620981001"], "amount_fen": 500}]
    both = tariff.parse([new, old])
    assert both.price("620981001000", on=date(2026, 12, 31)).amount_fen == 400
    assert both.price("620981001000", on=date(2027, 1, 1)).amount_fen == 500
    with pytest.raises(tariff.NoTariff):
        both.price("620981001000", on=date(2018, 12, 20))


def _with(**changes: object) -> dict[str, object]:
    return {**SEED_LIKE, **changes}


@pytest.mark.parametrize(
    "broken",
    [
        _with(
            zones=[
                {"name": "甲", "include": ["62"], "amount_fen": 1},
                {"name": "乙", "include": ["62"], "amount_fen": 2},
            ]
        ),
        _with(zones=[{"name": "甲", "include": ["620981001", "620981001000"], "amount_fen": 1}]),  # twice the same
        _with(zones=[{"name": "甲", "include": ["6209"], "exclude": ["62"], "amount_fen": 1}]),  # can never match
        _with(zones=[{"name": "甲", "include": [], "amount_fen": 1}]),
        _with(zones=[{"name": "甲", "include": ["62"], "amount_fen": 4.0}]),
        _with(zones=[{"name": "甲", "include": ["62"], "amount_fen": True}]),
        _with(zones=[{"name": "甲", "include": ["62"], "amount_fen": -1}]),
        _with(zones=[{"name": "甲", "include": ["62"], "amount_fen": "free"}]),
        _with(zones=[{"name": "甲", "include": ["6x"], "amount_fen": 1}]),
        _with(zones=[{"name": "甲", "include": ["6209810010001"], "amount_fen": 1}]),
        _with(valid_from="2018-13-01"),
        _with(valid_to="2018-12-20"),
        [SEED_LIKE, _with(document_no="x", valid_from="2020-01-01")],  # two tables in force on one day
        [],
        {"document_no": "x"},
        "text",
    ],
)
def test_a_wrong_table_stops_the_start(broken: object) -> None:
    with pytest.raises(tariff.TariffError):
        tariff.parse(broken)


def test_a_missing_or_unreadable_file_is_named(tmp_path) -> None:
    with pytest.raises(tariff.TariffError):
        tariff.load(tmp_path / "zones.json")
    (tmp_path / "zones.json").write_text("{", encoding="utf-8")
    with pytest.raises(tariff.TariffError):
        tariff.load(tmp_path / "zones.json")
    (tmp_path / "zones.json").write_text(json.dumps(SEED_LIKE), encoding="utf-8")
    assert tariff.load(tmp_path / "zones.json").tables[0].zones[0].name == "市区"


@given(st.text("0123456789", min_size=12, max_size=12))
def test_every_region_has_exactly_one_published_answer_or_none(region: str) -> None:
    """An independent reading of the source, without prefixes and lengths, agrees for every possible code."""
    if region[:9] in ("620981001", "620981002"):
        expected: object = 400
    elif region[:9] in ("620981101", "620981102"):
        expected = 600
    elif region.startswith("6209") and not region.startswith("620981"):
        expected = 800
    elif not region.startswith("62"):
        expected = None
    else:
        expected = "refused"
    try:
        found: object = price(region).amount_fen
    except tariff.ZoneUnknown:
        found = "refused"
    assert found == expected
