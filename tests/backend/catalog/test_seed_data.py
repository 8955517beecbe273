"""The checked-in county: complete, honest and consistent. These are the texts citizens read, so they are held to rules too."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from backend import seed
from backend.catalog import files, form_shorthand, importer, queries, region_codes
from backend.delivery import tariff
from backend.formats import uscc

FOLDER = Path(seed.__file__).resolve().parent
DAY = date(2026, 11, 20)
COUNTY, COMPLAINTS = files.load(FOLDER, on=DAY)
ITEMS = {entry.value.item_code: entry.value for entry in COUNTY.items}


def test_the_files_have_no_fault():
    assert [str(complaint) for complaint in COMPLAINTS] == []


def test_there_is_enough_for_a_county():
    codes = [region_codes.padded(entry.value.code) for entry in COUNTY.regions if entry.value.served]
    levels = [region_codes.level(code) for code in codes]
    assert levels.count("county") == 1 and levels.count("town") >= 2 and levels.count("village") >= 6
    assert len(ITEMS) >= 40 and len({entry.file for entry in COUNTY.items}) >= 8


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
def test_each_item_can_really_be_applied_for(item):
    assert 1 <= len(item.materials) <= 6 and len(item.faqs) >= 1 and len(item.conditions) >= 1
    assert 20 <= len(item.summary) <= 120, "a summary is read aloud in one breath"
    schema = form_shorthand.schema(item.form)
    assert len(json.dumps(schema, ensure_ascii=False).encode()) < 12_000
    assert not re.search(r"[a-z]{4,}", item.summary + "".join(item.conditions)), "no technical words in Chinese texts"


def test_the_item_of_the_first_journey():
    item = ITEMS["YM-YDZ-BB"]
    assert (item.name, item.assurance_level, item.pay_before_forward) == ("老年人优待证补办", 2, True)
    assert item.delivery == ["pickup", "mail"]
    assert [(m.name, m.need, m.kind) for m in item.materials] == [
        ("近期免冠照片", "required", "photo"),
        ("身份证照片", "required", "photo"),
    ]
    fee = COUNTY.fee(item.fees[0].code, DAY)
    assert (fee.price_fen, fee.kind) == (1000, "administrative")


def test_every_code_belongs_to_nobody_by_accident_but_is_right():
    assert all(uscc.check(entry.value.code) == uscc.Verdict(()) for entry in COUNTY.departments)
    phones = [e.value.phone for e in COUNTY.places] + [e.value.consult_phone for e in COUNTY.departments]
    assert all(re.fullmatch(r"0937-00001\d\d", phone) for phone in phones), "local numbers never begin with 0"


def test_every_place_of_the_county_has_a_courier_price_and_the_gap_stays_a_gap():
    table = tariff.load(FOLDER / "zones.json")
    for entry in COUNTY.regions:
        code = region_codes.padded(entry.value.code)
        if entry.value.served and region_codes.level(code) in ("town", "village"):
            assert table.price(code, on=DAY).amount_fen in (400, 600)
    assert table.price("620902000000", on=DAY).amount_fen == 800
    assert table.price("650502000000", on=DAY).amount_fen is None
    with pytest.raises(tariff.ZoneUnknown):
        table.price("620102000000", on=DAY)


async def test_the_county_is_imported_once_and_stays(database):
    queries.forget_cached()
    first = await importer.import_catalogue(folder=FOLDER, author="测试", reason="首次导入")
    again = await importer.import_catalogue(folder=FOLDER, author="测试", reason="再次导入")
    assert len(first.items_new) == len(ITEMS) == again.items_unchanged and again.items_changed == ()
    version = await queries.current(item_code="YM-YDZ-BB", region_code="620981102201")
    assert version.fee_lines[0].price_fen == 1000
    bodies = [(await queries.guide(item_code=code)).body for code in ITEMS]
    assert max(map(len, bodies)) < 24_000, "a guide fits the byte budget of a phone screen"
