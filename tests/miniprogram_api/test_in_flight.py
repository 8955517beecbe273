"""Deadlines without a timer for each request: who is ended, who is not, and who is waited for."""

import asyncio

import pytest

from miniprogram_api import in_flight
from miniprogram_api.in_flight import InFlight


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(in_flight, "_LOOK_EVERY_SECONDS", 0.01)


def started(coroutine):
    return asyncio.get_running_loop().create_task(coroutine)


async def test_a_request_in_time_gives_its_result():
    async def work():
        await asyncio.sleep(0.02)
        return "done"

    flight = InFlight(5)
    assert await flight.result(started(work())) == "done"
    assert len(flight) == 0


async def test_a_request_past_its_deadline_is_ended_and_the_next_one_is_not():
    flight = InFlight(0.05)
    slow, quick = started(asyncio.sleep(60)), started(asyncio.sleep(0, "quick"))
    late, fine = await asyncio.gather(flight.result(slow), flight.result(quick), return_exceptions=True)
    assert isinstance(late, TimeoutError) and slow.cancelled()
    assert fine == "quick"
    await asyncio.sleep(0.03)
    assert await flight.result(started(asyncio.sleep(0, "later"))) == "later"


async def test_a_caller_who_hangs_up_interrupts_nothing():
    flight, finished = InFlight(5), []

    async def write():
        await asyncio.sleep(0.05)
        finished.append(True)

    caller = started(flight.result(started(write())))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert len(flight) == 1 and not finished
    await flight.drain(5)
    assert finished


async def test_an_error_of_the_work_reaches_the_caller():
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError):
        await InFlight(5).result(started(work()))


async def test_work_that_is_ended_from_elsewhere_is_no_timeout():
    task = started(asyncio.sleep(60))
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await InFlight(5).result(task)


async def test_a_reading_gives_its_result_and_its_error():
    flight, good, bad = (
        InFlight(5),
        asyncio.get_running_loop().create_future(),
        asyncio.get_running_loop().create_future(),
    )
    asyncio.get_running_loop().call_later(0.01, good.set_result, "row")
    asyncio.get_running_loop().call_later(0.01, bad.set_exception, ValueError("no"))
    assert await flight.arrival(good) == "row"
    with pytest.raises(ValueError):
        await flight.arrival(bad)
    await asyncio.sleep(0)
    assert len(flight) == 0


async def test_a_reading_past_its_deadline_is_given_up():
    flight = InFlight(0.05)
    with pytest.raises(TimeoutError):
        await flight.arrival(asyncio.get_running_loop().create_future())
    await asyncio.sleep(0)
    assert len(flight) == 0


async def test_a_reader_who_hangs_up_is_forgotten_and_it_is_no_timeout():
    flight, reading = InFlight(5), asyncio.get_running_loop().create_future()
    caller = started(flight.arrival(reading))
    await asyncio.sleep(0)
    assert len(flight) == 1
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.sleep(0)
    assert len(flight) == 0 and reading.cancelled()
