"""Importing: all or nothing, every fault with file, row and field, idempotent, a change is a new version."""

from datetime import date

import pytest

from backend.catalog import importer, queries
from backend.catalog.importer import ImportRefused
from backend.catalog.models import Item, ItemVersion, Region
from kernel.problems import NotFound
from tests.backend.catalog import samples


@pytest.fixture(autouse=True)
def _fresh(database, frozen_clock):
    queries.forget_cached()


def bring(folder, reason="首次导入", **texts):
    return importer.import_catalogue(folder=samples.write(folder, **texts), author="王科员", reason=reason)


async def versions(code="YM-YDZ-BB"):
    return await ItemVersion.filter(item__item_code=code).order_by("version")


async def test_the_first_import_publishes_everything(tmp_path):
    report = await bring(tmp_path)
    assert (report.regions, report.departments, report.items_new) == (7, 1, ("YM-YDZ-BB",))
    (version,) = await versions()
    assert (version.version, version.effective_from, version.effective_to) == (1, date(2026, 11, 19), None)
    assert (version.author, version.reason) == ("王科员", "首次导入")


async def test_importing_again_changes_nothing(tmp_path):
    await bring(tmp_path)
    report = await bring(tmp_path, reason="再来一次")
    assert (report.regions, report.departments, report.items_new, report.items_changed) == (0, 0, (), ())
    assert report.items_unchanged == 1 and len(await versions()) == 1


async def test_a_changed_item_becomes_a_new_version_and_the_old_one_ends(tmp_path, frozen_clock):
    await bring(tmp_path)
    frozen_clock.advance(days=3)
    report = await bring(
        tmp_path, reason="承诺时限压缩到 2 天", items=samples.changed(("promise_days = 3", "promise_days = 4"))
    )
    assert report.items_changed == ("YM-YDZ-BB",)
    old, new = await versions()
    assert old.effective_to == new.effective_from == date(2026, 11, 22)
    assert new.version == 2 and new.reason == "承诺时限压缩到 2 天" and new.etag != old.etag


async def test_a_new_price_is_a_new_version_of_the_guide(tmp_path):
    await bring(tmp_path)
    report = await bring(tmp_path, fees=samples.FEES.replace("price_fen = 1000", "price_fen = 800"))
    assert report.items_changed == ("YM-YDZ-BB",)


async def test_a_version_for_next_month_waits(tmp_path, frozen_clock):
    await bring(tmp_path)
    later = samples.changed(
        ("promise_days = 3", "promise_days = 4"), ("visits = 0", "visits = 0\neffective_from = 2026-12-01")
    )
    await bring(tmp_path, items=later)
    now = await queries.current(item_code="YM-YDZ-BB", region_code="620981")
    assert (now.version, now.promise_days) == (1, 3)
    frozen_clock.advance(days=12)
    then = await queries.current(item_code="YM-YDZ-BB", region_code="620981")
    assert (then.version, then.promise_days) == (2, 4)
    assert (await queries.version(now.version_id)).promise_days == 3, "cases opened before keep their version"


async def test_all_faults_are_told_and_nothing_is_written(tmp_path):
    with pytest.raises(ImportRefused) as refused:
        await bring(
            tmp_path,
            regions=samples.REGIONS.replace('code = "620981101"', 'code = "62098110"'),
            departments=samples.DEPARTMENTS.replace("953011H", "953011J"),
            items=samples.changed(("年满 60 周岁", "其他"), ("legal_days = 20", 'legal_days = "二十"')),
        )
    told = {(c.file, c.row, c.field) for c in refused.value.complaints}
    assert ("regions.toml", 27, "code") in told
    assert ("departments.toml", 2, "code") in told
    assert ("all.toml", 2, "legal_days") in told
    assert "没有导入任何内容" in refused.value.detail and len(refused.value.errors) == len(refused.value.complaints)
    assert await Region.all().count() == 0 and await Item.all().count() == 0


@pytest.mark.parametrize(
    ("items", "field", "words"),
    [
        (samples.changed(("summary =", "sumary =")), "sumary", "没有这样的栏目名"),
        (samples.changed(('theme = "养老服务"\n', "")), "theme", "没有填写"),
        (samples.changed(('audience = "person"', 'audience = "people"')), "audience", "不在允许的范围"),
        (samples.changed(("visits = 0", "visits = 0.5")), "visits", "应为 int"),
        (samples.changed(('department = "mzj"', 'department = "xyz"')), "department", "departments.toml 里没有 xyz"),
        (samples.changed(('places = ["hall"]', 'places = ["moon"]')), "places", "places.toml 里没有 moon"),
        (samples.changed(("YDZ-GBF", "XYZ")), "fees", "清单之外不得收费"),
        (samples.changed(('{ code = "YDZ-GBF" }', '{ code = "YDZ-GBF", quantity = 3 }')), "fees", "最多 1 证"),
        (samples.changed(("visits = 0", 'visits = 0\noffered_in = ["110000"]')), "offered_in", "没有 110000"),
        (samples.changed(("4620200200100", "9620200200100")), "task_code", "行使层级只能是 1 至 7"),
        (samples.changed(("老年人优待证补办", "老年人龘证补办")), "initials", "龘"),
        (samples.changed(('label = "补办原因", ', 'label = "", ')), "form/properties/reason/title", "中文名称"),
        (samples.second(), "catalog_code", ""),
        ("[[item]\n", "", "文件读不懂"),
        ("[[thing]]\na = 1\n", "thing", "不应有这一节"),
    ],
)
async def test_each_fault_names_its_field(tmp_path, items, field, words):
    if field == "catalog_code":  # a second leaf of the same main item is fine
        assert (await bring(tmp_path, items=items)).items_new == ("YM-YDZ-BB", "YM-YDZ-SL")
        return
    with pytest.raises(ImportRefused) as refused:
        await bring(tmp_path, items=items)
    assert any(c.field == field and words in c.message for c in refused.value.complaints), refused.value.complaints


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("老年人优待证办理", "敬老证办理", "main_name"),
        ('task_type = "20"', 'task_type = "07"', "task_type"),
        ("第五十三条", "第五十二条", "legal_basis"),
    ],
)
async def test_one_code_has_one_name_one_type_and_one_basis(tmp_path, old, new, field):
    with pytest.raises(ImportRefused) as refused:
        await bring(tmp_path, items=samples.second((old, new)))
    (complaint,) = [c for c in refused.value.complaints if c.field == field]
    assert "基本编码 620200200100" in complaint.message and "all.toml 第 2 行" in complaint.message
    assert complaint.row > 2


async def test_doubled_codes_are_refused(tmp_path):
    with pytest.raises(ImportRefused) as refused:
        await bring(tmp_path, items=samples.ITEM + samples.ITEM, regions=samples.REGIONS + samples.REGIONS[-100:])
    assert {c.field for c in refused.value.complaints} >= {"item_code"}


async def test_a_fee_of_another_office_is_refused(tmp_path):
    with pytest.raises(ImportRefused) as refused:
        await bring(tmp_path, fees=samples.FEES.replace("11620981013953011H", "116209810139500057"))
    assert any("执收单位不是" in c.message for c in refused.value.complaints)


async def test_a_missing_file_is_a_complaint(tmp_path):
    samples.write(tmp_path)
    (tmp_path / "places.toml").unlink()
    with pytest.raises(ImportRefused) as refused:
        await importer.import_catalogue(folder=tmp_path, author="王科员", reason="导入")
    assert any(c.file == "places.toml" and "读不懂" in c.message for c in refused.value.complaints)


async def test_taking_an_item_back_ends_it_and_reimporting_brings_it_again(tmp_path, frozen_clock):
    await bring(tmp_path)
    opened = await queries.current(item_code="YM-YDZ-BB", region_code="620981")
    frozen_clock.advance(days=1)
    await importer.withdraw_item(item_code="YM-YDZ-BB", author="李主任", reason="收回到省里办理")
    await importer.withdraw_item(item_code="YM-YDZ-BB", author="李主任", reason="第二次不改变什么")
    with pytest.raises(queries.ItemNotOpen):
        await queries.current(item_code="YM-YDZ-BB", region_code="620981")
    with pytest.raises(NotFound):
        await queries.guide(item_code="YM-YDZ-BB")
    (version,) = await versions()
    assert (version.reason, version.effective_to) == ("收回到省里办理", date(2026, 11, 20))
    assert (await queries.version(opened.version_id)).name == "老年人优待证补办"
    await bring(tmp_path, reason="重新下放")
    assert (await queries.current(item_code="YM-YDZ-BB", region_code="620981")).version == 2
    with pytest.raises(NotFound):
        await importer.withdraw_item(item_code="NOBODY", author="李主任", reason="没有这个事项")
