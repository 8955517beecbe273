"""Loading the whole county with its prices, templates and demo accounts: once, twice, and never by half."""

import pytest

import payments
from backend import seed
from backend.catalog import queries
from backend.catalog.importer import ImportRefused
from backend.catalog.models import ItemVersion
from backend.identity import field_accounts, field_login
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


async def test_the_demo_courier_and_the_demo_agent_can_log_in():
    await seed.load(demo=True)
    courier = await _enter("courier")
    assert courier.courier.carrier == "ems" and courier.courier.areas == ("620981",)
    assert (await _enter("agent")).agent.organisation == "玉门镇便民服务中心"


async def test_a_demo_account_that_was_disabled_stays_so():
    await seed.load(demo=True)
    await field_accounts.disable(role="courier", login_name="demo-courier")
    assert "演示快递员和代办员：新建 0 个" in await seed.load(demo=True)
    with pytest.raises(field_login.WrongPassword):
        await _enter("courier")


async def _enter(role):
    return await field_login.log_in(role=role, login_name=f"demo-{role}", password=f"demo-{role}-2026", ip="192.0.2.1")


async def test_a_broken_folder_loads_nothing(tmp_path):
    (tmp_path / "items").mkdir()
    with pytest.raises(ImportRefused) as refused:
        await seed.load(folder=tmp_path)
    assert {c.file for c in refused.value.complaints} == {
        "regions.toml", "departments.toml", "places.toml", "fees.toml"
    }  # fmt: skip
