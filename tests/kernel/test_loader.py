"""Reads of one turn of the loop become one statement, and nobody disturbs anybody."""

import asyncio

import pytest

from kernel import loader as loader_module
from kernel.loader import Loader


def counting():
    batches = []

    async def fetch(keys):
        batches.append(list(keys))
        await asyncio.sleep(0)
        return {k: f"row of {k}" for k in keys if k != "nobody"}

    return batches, Loader(fetch)


async def test_reads_of_one_turn_are_one_batch():
    batches, loader = counting()
    rows = await asyncio.gather(*(loader.load(k) for k in ("a", "b", "a", "nobody")))
    assert rows == ["row of a", "row of b", "row of a", None]
    assert batches == [["a", "b", "nobody"]]


async def test_one_who_hangs_up_disturbs_nobody_else():
    _, loader = counting()
    rude, honest = asyncio.create_task(loader.load("a")), asyncio.create_task(loader.load("a"))
    await asyncio.sleep(0)
    rude.cancel()
    assert await honest == "row of a"


async def test_an_error_reaches_every_waiter_of_the_batch_and_the_next_batch_works():
    broken = True

    async def fetch(keys):
        if broken:
            raise OSError("gone")
        return dict.fromkeys(keys, "row")

    loader = Loader(fetch)
    outcomes = await asyncio.gather(loader.load("a"), loader.load("b"), return_exceptions=True)
    assert all(isinstance(o, OSError) for o in outcomes)
    broken = False
    assert await loader.load("a") == "row"


async def test_a_key_never_receives_another_keys_row():
    async def fetch(keys):
        return {k: k for k in reversed(keys)}

    loader = Loader(fetch, in_flight=2, most=7)
    keys = [(owner, number) for owner in range(10) for number in range(10)]
    assert await asyncio.gather(*(loader.load(k) for k in keys)) == keys


@pytest.mark.parametrize("most", [1, 3, 64])
async def test_every_key_is_fetched_however_small_the_batches(most):
    async def fetch(keys):
        await asyncio.sleep(0)
        return {k: k for k in keys}

    loader = Loader(fetch, in_flight=1, most=most)
    assert await asyncio.gather(*(loader.load(n) for n in range(50))) == list(range(50))


async def test_the_next_batch_gathers_while_one_is_on_its_way_and_nobody_waits_long(monkeypatch):
    monkeypatch.setattr(loader_module, "_PATIENCE_SECONDS", 0.2)
    batches, gate = [], asyncio.Event()

    async def fetch(keys):
        batches.append(list(keys))
        await gate.wait()
        return {k: k for k in keys}

    loader = Loader(fetch)
    first = asyncio.create_task(loader.load(0))
    await asyncio.sleep(0.001)
    later = [asyncio.create_task(loader.load(n)) for n in (1, 2)]
    await asyncio.sleep(0.001)
    assert batches == [[0]], "two do not make a second way worth while"
    await asyncio.sleep(0.4)
    assert batches == [[0], [1, 2]], "but a batch that does not return holds up nobody"
    many = [asyncio.create_task(loader.load(n)) for n in range(3, 12)]
    for _ in range(4):
        await asyncio.sleep(0)
    assert len(batches) == 3, "and many go at once"
    gate.set()
    assert await asyncio.gather(first, *later, *many) == list(range(12))
