"""`doctor` is green only while nothing waits for a person: every kind of waiting work has a line and a remedy."""

import pytest

from backend import readiness
from backend.delivery.models import Review
from backend.onewindow.models import Call, Event, Forwarding
from kernel import clock
from tests.backend.delivery import world as county


async def wrong() -> dict[str, str]:
    return {name: state for name, state in (await readiness.waiting()).items() if state != "ok"}


async def call(outcome: str, code: str = "") -> None:
    await Call.create(verb="case.push", digest="0" * 64, outcome=outcome, code=code, message="验签失败" if code else "")


async def test_an_empty_county_is_well(database):
    assert await wrong() == {}


async def test_a_paid_case_that_the_platform_refused_is_named_with_the_remedy(database):
    await Forwarding.create(
        ref="r" * 26, case_no="6" * 21, verb="case.push", subject="1", state="refused", started_at=clock.now()
    )
    told = await wrong()
    assert list(told) == ["一窗报送"]
    assert told["一窗报送"].startswith("1 条")
    assert "resend" in told["一窗报送"]


async def test_a_decision_nobody_understands_is_named(database):
    await Event.create(
        project_no="1", seq=7, type="RESULT", payload_sealed="x", payload_sha256="0" * 64, state="review"
    )
    assert "confirm-result" in (await wrong())["一窗事件"]


async def test_an_open_review_of_a_parcel_is_named_until_it_is_settled(database, frozen_clock, tmp_path):
    world = await county.make(tmp_path)
    parcel = await world.booked(await world.citizen())
    review = await Review.create(review_no="v" * 26, parcel=parcel, kind="carrier_signed", detail="")
    assert "reviews" in (await wrong())["寄送复核"]
    await Review.filter(id=review.id).update(resolved_at=clock.now())
    assert "寄送复核" not in await wrong()


async def test_calls_that_all_fail_are_named_with_the_platforms_own_words(database):
    for _ in range(3):
        await call("sign", "401")
    told = (await wrong())["一窗调用"]
    assert "最近 3 次调用全部失败" in told
    assert "401 验签失败" in told


@pytest.mark.parametrize("outcomes", [["sign", "sign", "done"], ["no_answer"], ["park", "park", "park"], ["begun"] * 4])
async def test_calls_that_fail_now_and_then_or_are_refused_for_a_reason_are_no_outage(database, outcomes):
    for outcome in outcomes:
        await call(outcome)
    assert await wrong() == {}


async def test_failures_of_long_ago_do_not_count(database, frozen_clock):
    for _ in range(5):
        await call("not_sent")
    assert "一窗调用" in await wrong()
    frozen_clock.advance(seconds=3700)
    assert "一窗调用" not in await wrong()
