"""Who serves a place: prefixes, padded codes, other carriers and disabled accounts."""

import pytest

from backend.identity import field_accounts
from backend.identity.courier_areas import couriers_covering, covers

TOWN = "620981101205"


@pytest.mark.parametrize("area", ["62", "620981", "620981101", "620981101000", "620981000000", TOWN])
def test_an_area_holds_what_lies_below_it(area) -> None:
    assert covers(area, TOWN)


@pytest.mark.parametrize("area", ["6201", "620982", "620981102", "620981102000", "620981101206"])
def test_and_nothing_beside_it(area) -> None:
    assert not covers(area, TOWN)


async def test_only_active_couriers_of_the_carrier(database) -> None:
    for login, carrier, areas in (
        ("near", "ems", ("6201", "620981")),
        ("far", "ems", ("6201",)),
        ("other", "local", ("620981",)),
        ("gone", "ems", ("620981",)),
    ):
        await field_accounts.create_courier(
            login_name=login, password="Abcd1234xyz", carrier=carrier, name="张三", phone=None, areas=areas
        )
    await field_accounts.disable(role="courier", login_name="gone")
    found = await couriers_covering(carrier="ems", region_code=TOWN)
    assert [courier.areas for courier in found] == [("6201", "620981")]
