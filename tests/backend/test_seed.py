"""Loading the whole county with its prices, templates and demo accounts: once, twice, and never by half."""

import pytest

import payments
from backend import seed
from backend.catalog import queries
from backend.catalog.importer import ImportRefused
from backend.catalog.models import ItemVersion
from backend.identity import field_login
from tests.backend.identity import fakes


@pytest.fixture(autouse=True)
def _fresh(database):
    queries.forget_cached()
    fakes.configure()


async def test_the_county_is_loaded_and_repeating_it_changes_nothing():
    first = await seed.load(demo=True)
    assert "事项新增 56 项" in first[0]
    again = await seed.load(demo=True)
    assert (
        "事项新增 0 项、更新 0 项、未变 56 项" in again[0]
        and "新增或更新 0 项" in again[1]
        and "新建 0 个" in again[-1]
    )
    assert await ItemVersion.all().count() == 56


async def test_every_charge_of_an_item_has_an_approved_price_with_the_same_amount():
    await seed.load()
    charged = 0
    for row in await ItemVersion.all():
        version = await queries.version(row.id)
        for line in version.fee_lines:
            price = await payments.price(unit_code=version.department_code, fee_code=line.fee_code)
            assert (price.price_fen, price.name) == (line.price_fen, line.name)
            charged += 1
    assert charged >= 8


async def test_the_demo_courier_can_log_in():
    await seed.load(demo=True)
    answer = await field_login.log_in(role="courier", login_name="demo-courier", password="demo-courier-2026")
    assert answer.courier.carrier == "ems" and answer.courier.areas == ("620981",)


async def test_a_broken_folder_loads_nothing(tmp_path):
    (tmp_path / "items").mkdir()
    with pytest.raises(ImportRefused) as refused:
        await seed.load(folder=tmp_path)
    assert {c.file for c in refused.value.complaints} == {
        "regions.toml", "departments.toml", "places.toml", "fees.toml"
    }  # fmt: skip
