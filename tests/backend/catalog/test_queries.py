"""What phones ask: regions, lists, searching, guides as prebuilt bytes, and the version a case gets."""

import hashlib

import msgspec
import pytest

from backend.catalog import importer, queries
from backend.catalog.views import Guide, ItemsPage
from kernel.problems import Invalid, NotFound
from tests.backend.catalog import samples


@pytest.fixture(autouse=True)
async def _county(database, frozen_clock, tmp_path):
    queries.forget_cached()
    items = samples.ITEM
    for number in range(1, 6):
        items += samples.changed(
            ("YM-YDZ-BB", f"YM-{number}"),
            ("老年人优待证补办", f"低保{number}号_申请"),
            ("敬老证", "困难补助"),
            ("visits = 0", f"visits = 0\nrank = {number}"),
        )
    village_only = samples.changed(
        ("YM-YDZ-BB", "YM-CUN"),
        ("老年人优待证补办", "村里代办"),
        ("visits = 0", 'visits = 0\noffered_in = ["620981101201"]'),
    )
    enterprise = samples.changed(
        ("YM-YDZ-BB", "YM-QY"),
        ("老年人优待证补办", "开店办照"),
        ('audience = "person"', 'audience = "enterprise"'),
        ("养老服务", "企业开办"),
    )
    folder = samples.write(tmp_path, items=items + village_only + enterprise)
    await importer.import_catalogue(folder=folder, author="王科员", reason="导入")


async def page(**filters):
    return msgspec.json.decode((await queries.items_page(**filters)).body, type=ItemsPage)


async def codes(**filters):
    return [card.item_code for card in (await page(**filters)).items]


async def test_regions_lead_from_the_province_down_to_the_village():
    (gansu,) = await queries.regions(parent=None)
    (jiuquan,) = await queries.regions(parent=gansu.code)
    below = await queries.regions(parent=jiuquan.code)
    assert [(r.name, r.served) for r in below] == [("肃州区", False), ("玉门市", True)]
    (town,) = await queries.regions(parent="620981")
    assert town.full_name == "甘肃省酒泉市玉门市玉门镇" and town.has_children and not town.urban
    (village,) = await queries.regions(parent=town.code)
    assert (village.level, village.has_children) == ("village", False)


async def test_the_service_area_is_our_county_only():
    assert [r.name for r in await queries.regions(parent=None, served=True)] == ["玉门市"]
    assert [r.name for r in await queries.regions(parent="6209", served=True)] == ["玉门市"]


async def test_a_retired_region_is_not_offered_but_old_cases_still_find_it():
    assert "老市区街道" not in [r.name for r in await queries.regions(parent="620981")]
    assert (await queries.region("620981001000")).name == "老市区街道"
    with pytest.raises(NotFound):
        await queries.region("999999")
    with pytest.raises(Invalid):
        await queries.region("62098x")


async def test_lists_are_paged_without_gaps_or_repeats():
    seen, cursor = [], None
    while True:
        got = await page(limit=3, cursor=cursor)
        seen += [card.item_code for card in got.items]
        if (cursor := got.next_cursor) is None:
            break
    assert seen == ["YM-1", "YM-2", "YM-3", "YM-4", "YM-5", "YM-CUN", "YM-QY", "YM-YDZ-BB"]
    with pytest.raises(Invalid):
        await page(cursor="not a cursor")


@pytest.mark.parametrize("q", ["优待证", "敬老", "lnryd", "LNRYDZBB", "老年人 优待证", "jlz"])
async def test_searching_by_name_synonym_and_initials(q):
    assert "YM-YDZ-BB" in await codes(q=q)


async def test_searching_takes_percent_and_underscore_literally():
    assert await codes(q="%") == [] and len(await codes(q="号_申")) == 5 and await codes(q="\\") == []
    assert await codes(q="没有这个") == []


async def test_filters_by_audience_and_place():
    assert await codes(audience="enterprise") == ["YM-QY"]
    assert "YM-CUN" not in await codes(region_code="620981101000")
    assert "YM-CUN" in await codes(region_code="620981101201")
    assert await codes(region_code="620902") == [], "outside our county nothing is offered"
    with pytest.raises(Invalid):
        await codes(audience="martian")


async def test_a_card_says_what_one_wants_to_know_first():
    (card,) = (await page(q="优待证补办")).items
    assert (card.promise_limit_label, card.visits_label, card.fee_label) == ("3 个工作日", "零跑腿", "10 元")
    assert card.department_name == "玉门市民政局" and card.apply_online


async def test_a_guide_is_bytes_made_at_publication_with_a_strong_etag():
    guide = await queries.guide(item_code="YM-YDZ-BB")
    assert guide.etag == f'"{hashlib.sha256(guide.body).hexdigest()}"'
    assert await queries.guide(item_code="YM-YDZ-BB") is guide, "the second reader gets the same bytes"
    read = msgspec.json.decode(guide.body, type=Guide)
    assert read.complaint_phone != read.consult_phone and read.places[0].address.endswith("1 号窗口")
    assert read.fee.lines[0].price_fen == 1000 and "演示" in read.fee.lines[0].basis
    assert read.form["properties"]["reason"]["title"] == "补办原因"
    with pytest.raises(NotFound):
        await queries.guide(item_code="NOBODY")


async def test_a_case_gets_the_version_in_force_where_it_is_offered():
    version = await queries.current(item_code="YM-YDZ-BB", region_code="620981101201")
    assert (version.department_code, version.project_type, version.legal_days) == ("11620981013953011H", "promised", 20)
    assert [(m.code, m.need) for m in version.materials] == [("PHOTO", "required"), ("IDCARD", "tolerable")]
    assert version.pay_before_forward and version.delivery_modes == ("pickup", "mail")
    assert version.form_schema["required"] == ["reason"] and version.task_code.endswith(version.catalog_code)
    assert await queries.version(version.version_id) is version
    for code, region in (("YM-YDZ-BB", "620902"), ("YM-CUN", "620981101000")):
        with pytest.raises(queries.ItemNotOpen):
            await queries.current(item_code=code, region_code=region)
    with pytest.raises(NotFound):
        await queries.current(item_code="NOBODY", region_code="620981")
    with pytest.raises(NotFound):
        await queries.version(10**9)
