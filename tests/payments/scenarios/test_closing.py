"""Orders that are closed, and money that comes nevertheless: nothing is closed here before the channel says so, nothing is lost."""

from payments import janitor
from tests.payments.conftest import events
from tests.payments.scenarios.stage import differences


async def past_its_end(stage):
    """An order whose half hour is over, at its real pace."""
    await stage.config(time_scale=1)
    _, view = await stage.waiting()
    await stage.advance(minutes=31)
    return view


async def test_s27_paid_while_we_close(stage):
    """Our close is lost, she still pays, and the repeated close is answered ORDERPAID."""
    view = await past_its_end(stage)
    await stage.fault("close", {"drop": "before"})
    await janitor.check_attempts()
    assert await stage.states(view) == ("open", "closing")
    await stage.pay(view.payment_no, force=True, notify=False)
    await stage.advance(seconds=7)
    await janitor.check_attempts()
    assert await stage.states(view) == ("paid", "paid")
    assert len(await stage.heard("close")) == 2
    assert len(await events("bill.paid")) == 1
    assert await differences() == []


async def test_s28_money_after_the_order_was_closed(stage):
    """The channel closed it, and proves afterwards that it was paid: the open bill is settled, and somebody may wonder why."""
    view = await past_its_end(stage)
    await janitor.check_attempts()
    assert await stage.states(view) == ("open", "closed")
    await stage.pay(view.payment_no, force=True)
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")
    assert await differences() == ["STATUS_OURS_UNPAID"]
    assert len(await events("bill.paid")) == 1
