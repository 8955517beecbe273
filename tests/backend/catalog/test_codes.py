"""Region codes, item codes and pinyin initials: what they are made of and how a wrong one is explained."""

import pytest

from backend.catalog import pinyin, region_codes, task_code

DEPARTMENT = "11620981013953011H"
CATALOG = "620200200100"
GOOD = DEPARTMENT + "4" + CATALOG


@pytest.mark.parametrize(
    ("code", "level", "prefixes"),
    [
        ("62", "province", ("62",)),
        ("6209", "city", ("62", "6209")),
        ("620981", "county", ("62", "6209", "620981")),
        ("620981101", "town", ("62", "6209", "620981", "620981101")),
        ("620981101203", "village", ("62", "6209", "620981", "620981101", "620981101203")),
    ],
)
def test_a_region_code_tells_its_level_and_everything_above_it(code, level, prefixes):
    padded = region_codes.padded(code)
    assert len(padded) == 12 and region_codes.level(padded) == level
    assert region_codes.significant(padded) == code and region_codes.prefixes(padded) == prefixes
    assert region_codes.parent(padded) == (region_codes.padded(prefixes[-2]) if len(prefixes) > 1 else None)


@pytest.mark.parametrize("code", ["", "6", "62098", "6209811", "62098a", "６２", "6209811010000"])
def test_other_lengths_are_no_region_codes(code):
    with pytest.raises(ValueError):
        region_codes.padded(code)


def explained(code, **changes):
    should = {"department_code": DEPARTMENT, "level": "4", "catalog_code": CATALOG} | changes
    return task_code.faults(code, **should)


def test_a_right_implementation_code_has_three_parts():
    assert explained(GOOD) == ()
    assert [part.value for part in task_code.parts(GOOD)] == [DEPARTMENT, "4 县级", CATALOG]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (GOOD[:-1], "应为 31 位（统一社会信用代码 18 + 行使层级 1 + 基本编码 12），现在是 30 位"),
        (DEPARTMENT[:-1] + "J" + "4" + CATALOG, "校验不符"),
        (DEPARTMENT + "9" + CATALOG, "行使层级只能是 1 至 7"),
        (DEPARTMENT + "4" + "62020020010x", "基本编码应为 12 位大写字母或数字"),
        ("116209810139500057" + "4" + CATALOG, "与事项填写的“11620981013953011H”不一致"),
        (DEPARTMENT + "5" + CATALOG, "行使层级“5”与事项填写的“4”不一致"),
        (DEPARTMENT + "4" + "620200200200", "基本编码“620200200200”与事项填写的“620200200100”不一致"),
    ],
)
def test_each_part_of_a_wrong_code_is_explained(code, words):
    assert any(words in fault for fault in explained(code))


def test_two_wrong_parts_are_explained_together():
    assert len(explained(DEPARTMENT[:-1] + "J" + "9" + CATALOG)) == 2


@pytest.mark.parametrize(
    ("name", "letters"),
    [("老年人优待证补办", "lnrydzbb"), ("异地就医备案", "ydjyba"), ("公积金 2 类", "gjj2l"), ("赡养、徙", "syx")],
)
def test_initials(name, letters):
    assert pinyin.initials(name) == (letters, ())


def test_a_character_nobody_can_read_is_named():
    assert pinyin.initials("李𬀩办") == ("lb", ("𬀩",))
    assert pinyin.initials("龘") == ("", ("龘",))
