"""The same key and body give the same answer, whatever happens in between."""

import asyncio

import msgspec
import pytest

from kernel import db, ids
from kernel.idempotency import Idempotency, KeyReused, run_once


class Answer(msgspec.Struct, frozen=True):
    number: int


def asked(key: str = "k", body: str = "b") -> Idempotency:
    return Idempotency(scope="citizen:1 POST /cases", key=key, request_hash=body)


async def issue() -> Answer:
    return Answer(await ids.next_serial("issued"))


async def test_a_repeated_request_gets_the_first_answer_again(database):
    first = await run_once(asked(), Answer, issue)
    assert await run_once(asked(), Answer, issue) == first
    assert await ids.next_serial("issued") == 2


async def test_the_same_key_with_another_body_is_refused(database):
    await run_once(asked(), Answer, issue)
    with pytest.raises(KeyReused):
        await run_once(asked(body="other"), Answer, issue)


async def test_a_failed_command_leaves_the_key_free(database):
    async def refuse() -> Answer:
        raise ValueError

    with pytest.raises(ValueError):
        await run_once(asked(), Answer, refuse)
    assert (await run_once(asked(), Answer, issue)).number == 1


async def test_ten_at_once_have_one_effect(database):
    answers = await asyncio.gather(*(run_once(asked(), Answer, issue) for _ in range(10)))
    assert set(answers) == {Answer(1)}


async def test_keys_of_different_people_do_not_meet(database):
    await run_once(asked(), Answer, issue)
    other = Idempotency(scope="citizen:2 POST /cases", key="k", request_hash="b")
    assert (await run_once(other, Answer, issue)).number == 2


async def test_the_stored_answer_is_not_readable_in_the_database(database):
    await run_once(asked(), Answer, issue)
    (row,) = await db.fetch("SELECT answer FROM kernel_idempotency")
    assert "number" not in row["answer"]
