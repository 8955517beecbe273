"""Orders and refunds whose answer is lost, unproven or no answer at all: unknown is never "failed", and there is one order there."""

import pytest

from payments import asking, janitor, refund_janitor
from payments.models import Attempt, Refund

DONE_BUT_UNPROVEN = [
    {"drop": "after"},
    {"signature": "other_key"},
    {"signature": "signtest"},
    {"signature": "none"},
    {"signature": "stale"},
    {"body": "garbage"},
    {"body": "truncated", "signed": True},
    {"body": "duplicate_key"},
    {"status_after": 500},
]


def words(effect: dict) -> str:
    return "-".join(map(str, effect.values()))


@pytest.mark.parametrize("effect", DONE_BUT_UNPROVEN, ids=words)
async def test_s08_the_order_was_made_and_its_answer_is_lost_or_worth_nothing(stage, effect):
    await stage.fault("jsapi", effect)
    bill_no, view = await stage.waiting()
    assert (view.status, view.client_action) == ("ongoing", None)
    assert await stage.states(view) == ("open", "unknown")
    await stage.advance(seconds=7)
    await janitor.check_attempts()
    assert await stage.states(view) == ("open", "pending")
    # The order is known, its cashier is not: the next tap repeats the identical request for the same order.
    again = await stage.tap(bill_no)
    assert (again.payment_no, again.client_action is None) == (view.payment_no, False)
    order = await stage.order(view.payment_no)
    assert (order["times_created"], len(order["nonces"]), len(order["body_sha256"])) == (2, 2, 1)
    assert len((await stage.control("GET", "/orders"))["orders"]) == 1
    await stage.pay(view.payment_no)
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")


async def repeated_until_it_works(stage, effect: dict) -> list[dict]:
    """An order that is refused without a proof three times: what reached the channel of it."""
    await stage.fault("jsapi", effect, times=3)
    _, view = await stage.waiting()
    for _ in range(3):
        assert (view.status, await stage.states(view)) == ("ongoing", ("open", "unknown"))
        await asking.work_on(view.payment_no)  # asked, not found, sent again
    assert await stage.states(view) == ("open", "pending")
    assert (await stage.order(view.payment_no))["times_created"] == 1
    return await stage.heard("jsapi")


def the_same_with_fresh_proofs(requests: list[dict], times: int) -> bool:
    return len(requests) == len({r["nonce"] for r in requests}) == times and len({r["body"] for r in requests}) == 1


async def refunded_after(stage, effect: dict) -> list[dict]:
    """The same for a refund."""
    bill_no, payment_no = await stage.paid()
    await stage.fault("refund", effect, times=3)
    refund_no = await stage.ask_back(payment_no)
    await refund_janitor.check_refunds()
    assert (await stage.refund()).state == "unknown"
    await stage.settle_everything()
    assert ((await stage.refund()).state, (await stage.bill(bill_no)).state) == ("success", "refunded")
    assert (await stage.there(refund_no))["times_asked"] == await Refund.all().count() == 1
    return await stage.heard("refund")


async def test_s11_system_error_three_times_and_then_ok(stage):
    error = {"status": 500, "code": "SYSTEM_ERROR"}
    assert the_same_with_fresh_proofs(await repeated_until_it_works(stage, error), 4)


async def test_s11_a_refund_meets_system_error_three_times(stage):
    error = {"status": 500, "code": "SYSTEM_ERROR"}
    assert the_same_with_fresh_proofs(await refunded_after(stage, error), 4)


async def test_s12_a_storm_of_too_many_requests(stage):
    """Sixteen are paid and no notice comes, but the channel has had enough of our questions for a while."""
    views = [(await stage.waiting())[1] for _ in range(16)]
    for view in views:
        await stage.pay(view.payment_no, notify=False)
    await stage.fault("query", {"status": 429}, times=20)
    await stage.advance(seconds=7)
    await janitor.check_attempts()
    assert len(await stage.heard("query")) == 8, "after eight refusals the others wait for the next round"
    asked = await Attempt.filter(checks__gt=0)
    assert len({row.next_check_at for row in asked}) == len(asked) == 8, "they do not come back in step"
    await stage.settle_everything()
    assert [await stage.states(view) for view in views] == [("paid", "paid")] * 16
    assert len(await stage.heard("query")) <= 20 + 16


async def test_s13_accepted_without_a_conclusion(stage):
    assert the_same_with_fresh_proofs(await repeated_until_it_works(stage, {"status": 202}), 4)


async def test_s13_a_refund_is_accepted_without_a_conclusion(stage):
    assert the_same_with_fresh_proofs(await refunded_after(stage, {"status": 202}), 4)


UNSIGNED_NO = [
    {"status": 400, "code": "PARAM_ERROR"},
    {"status": 401},
    {"status": 403, "code": "NO_AUTH", "signed": False},
    {"status": 404},
    {"status": 400, "body": "html"},
]


@pytest.mark.parametrize("effect", UNSIGNED_NO, ids=words)
async def test_s15_an_unsigned_no_to_an_order_concludes_nothing(stage, effect):
    assert the_same_with_fresh_proofs(await repeated_until_it_works(stage, effect), 4)


async def test_s15_a_signed_no_is_a_no(stage):
    await stage.fault("jsapi", {"status": 403, "code": "RULE_LIMIT", "signed": True})
    _, view = await stage.waiting()
    assert (view.status, view.finished) == ("unpaid", True)
    assert await stage.states(view) == ("open", "rejected")


@pytest.mark.parametrize("effect", UNSIGNED_NO, ids=words)
async def test_s15_an_unsigned_no_to_a_refund_concludes_nothing(stage, effect):
    assert the_same_with_fresh_proofs(await refunded_after(stage, effect), 4)
