"""One phone that sends the same request more than once, through the real API: one payment, one answer."""

import asyncio
import json

import aiohttp
import pytest

from payments.models import Attempt
from tests.payments.scenarios.phone import Phone, api, log_in


@pytest.fixture
async def phone(stage):
    async with api() as url, aiohttp.ClientSession() as session:
        yield Phone(session, url, await log_in())


async def test_s32_twenty_taps_with_one_key_are_one_payment_and_one_answer(stage, phone):
    bill_no = await stage.issue()
    answers = await asyncio.gather(*(phone.tap(bill_no, key="double-click") for _ in range(20)))
    assert {status for status, _ in answers} == {201}
    (body,) = {body for _, body in answers}
    payment = json.loads(body)
    assert payment["client_action"]["package"].startswith("prepay_id=")
    assert await Attempt.all().count() == 1
    (order,) = (await stage.control("GET", "/orders"))["orders"]
    assert (order["out_trade_no"], order["times_created"]) == (payment["payment_no"], 1)


async def test_s33_one_key_for_another_sum_is_refused_and_nothing_is_made(stage, phone):
    """The amount is the bill's, never the phone's: to pay something else is to pay another bill."""
    bill_no, other = await stage.issue(), await stage.issue()
    first = await phone.tap(bill_no, key="used")
    status, body = await phone.tap(other, key="used")
    assert (status, json.loads(body)["code"]) == (422, "idempotency-key-reused")
    assert await phone.tap(bill_no, key="used") == first
    assert await Attempt.all().count() == 1
    assert len((await stage.control("GET", "/orders"))["orders"]) == 1
