"""The ledger of permissions."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import db
from notifications import quota

HERE = {"address_index": "a" * 64, "template_id": "T1"}


async def reserve(term: str = "one_time") -> bool | None:
    async with db.transaction():
        return await quota.reserve(**HERE, term=term)


async def available() -> int:
    return (await quota.of(**HERE)).available


async def accept(second: int) -> bool:
    async with db.transaction():
        return await quota.accept(**HERE, tapped_at_s=second)


async def test_one_tap_is_one_message(database):
    assert await reserve() is None
    await accept(1)
    assert await available() == 1
    assert await reserve() is True
    assert await available() == 0
    assert await reserve() is None
    await quota.consume(**HERE)
    assert await reserve() is None


async def test_a_copy_of_a_tap_grants_nothing(database):
    assert await accept(1)
    assert not await accept(1)
    assert await accept(2)
    assert await available() == 2


async def test_templates_and_people_do_not_share(database):
    await accept(1)
    for other in ({"address_index": "b" * 64}, {"template_id": "T2"}):
        assert (await quota.of(**(HERE | other))).available == 0


async def test_a_permission_that_was_not_used_may_be_taken_again(database):
    await accept(1)
    await reserve()
    await quota.release(**HERE)
    assert await reserve() is True


async def test_what_wechat_says_wins_over_what_we_counted(database):
    for second in range(5):
        await accept(second)
    await reserve()
    await quota.release(**HERE)
    await quota.exhaust(**HERE)
    assert await available() == 0
    await accept(9)
    assert await available() == 1


async def test_switching_off_blocks_until_the_next_tap(database):
    await accept(1)
    await quota.reject(**HERE)
    assert await quota.of(**HERE) == quota.Standing(0, False, True)
    assert await reserve() is None
    await accept(2)
    assert await quota.of(**HERE) == quota.Standing(1, True, False)


async def test_a_long_term_template_counts_nothing_but_needs_a_yes(database):
    assert await reserve("long_term") is None
    await accept(1)
    for _ in range(3):
        assert await reserve("long_term") is False
    await quota.reject(**HERE)
    assert await reserve("long_term") is None


async def test_three_permissions_among_ten_at_once_are_three(database):
    for second in range(3):
        await accept(second)
    taken = await asyncio.gather(*(reserve() for _ in range(10)))
    assert taken.count(True) == 3


@pytest.mark.parametrize("repetition", range(5))
@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_the_books_never_go_below_nothing(database, repetition, data):
    steps = data.draw(
        st.lists(st.sampled_from(["accept", "reserve", "consume", "release", "exhaust", "reject"]), max_size=40)
    )
    for second, step in enumerate(steps):
        if step == "accept":
            await accept(second)
        elif step == "reserve":
            before = await available()
            assert (await reserve() is True) == (before > 0)
        else:
            await getattr(quota, step)(**HERE)
        rows = await db.fetch("SELECT granted, reserved, consumed FROM notifications_quota")
        assert all(value >= 0 for row in rows for value in row.values())
        assert all(row["granted"] >= row["reserved"] + row["consumed"] for row in rows)
