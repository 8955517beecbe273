"""Pages kept for a few seconds: made once for many, never older than promised, and no failure is kept."""

import asyncio

import pytest

from backend.catalog import kept
from backend.catalog.views import Prebuilt


@pytest.fixture(autouse=True)
def _empty():
    kept.forget()
    yield
    kept.forget()


class Maker:
    def __init__(self):
        self.made, self.error = 0, None

    async def __call__(self):
        self.made += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return Prebuilt(body=str(self.made).encode(), etag='"1"')


async def test_many_who_ask_at_once_get_one_page(frozen_clock):
    make = Maker()
    pages = await asyncio.gather(*(kept.page("a", make) for _ in range(20)))
    assert {page.body for page in pages} == {b"1"} and make.made == 1
    frozen_clock.advance(seconds=kept.SECONDS + 0.1)
    assert (await kept.page("a", make)).body == b"2"


async def test_what_is_published_here_is_seen_at_once(frozen_clock):
    make = Maker()
    await kept.page("a", make)
    kept.forget()
    assert (await kept.page("a", make)).body == b"2"


async def test_a_failure_reaches_all_who_wait_and_is_not_kept(frozen_clock):
    make = Maker()
    make.error = LookupError("no")
    answers = await asyncio.gather(*(kept.page("a", make) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, LookupError) for answer in answers) and make.made == 1
    make.error = None
    assert (await kept.page("a", make)).body == b"2"


async def test_one_who_hangs_up_takes_it_from_nobody(frozen_clock):
    make = Maker()
    rude = asyncio.ensure_future(kept.page("a", make))
    await asyncio.sleep(0)
    honest = asyncio.ensure_future(kept.page("a", make))
    rude.cancel()
    assert (await honest).body == b"1"


async def test_only_so_many_are_kept(frozen_clock):
    make = Maker()
    for n in range(600):
        await kept.page(n, make)
    assert len(kept._pages) == 512


async def test_at_hand_is_only_what_is_finished_and_fresh(frozen_clock):
    make = Maker()
    assert kept.at_hand("a") is None
    waiting = asyncio.ensure_future(kept.page("a", make))
    await asyncio.sleep(0)
    assert kept.at_hand("a") is None, "still being made"
    await waiting
    assert kept.at_hand("a").body == b"1"
    frozen_clock.advance(seconds=kept.SECONDS + 0.1)
    assert kept.at_hand("a") is None


async def test_a_failure_is_never_at_hand(frozen_clock):
    make = Maker()
    make.error = LookupError("no")
    with pytest.raises(LookupError):
        await kept.page("a", make)
    await asyncio.sleep(0)
    assert kept.at_hand("a") is None
