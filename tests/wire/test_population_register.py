"""Our register client against the sandbox register over its real wire: each answer, each way of not getting one."""

import pytest

from backend.identity.ports import RegisterOutcome
from backend.identity.register import RegisterClient
from backend.identity.settings import RegisterSettings
from kernel import http, ids
from kernel.http import Partner
from sandbox.people import DEMO_PEOPLE
from sandbox.register import build
from sandbox.serving import serving

PEOPLE = {person.key: person for person in DEMO_PEOPLE}
DOTTED = next(person.key for person in DEMO_PEOPLE if "·" in person.name)


@pytest.fixture
async def register(tmp_path):
    async with serving(build, tmp_path) as sandbox:
        yield sandbox
    await http.close()


def client(sandbox, **changes):
    settings = RegisterSettings(
        **{"base_url": sandbox.url, "app_id": sandbox.app_id, "secret": sandbox.secret} | changes
    )
    partner = Partner("register", settings.base_url, total_seconds=1.0, read_seconds=0.5)
    return RegisterClient(settings, partner)


async def ask(sandbox, key, name=None, **changes):
    person = PEOPLE[key]
    return await client(sandbox, **changes).verify(
        name=name or person.name, id_number=person.id_number, request_no=ids.public_id()
    )


@pytest.mark.parametrize(
    ("key", "outcome"),
    [
        ("zhangguilan", RegisterOutcome.MATCH),
        (DOTTED, RegisterOutcome.MATCH),
        ("chenxiaoyu", RegisterOutcome.MINOR),
        ("sunfuhai", RegisterOutcome.DECEASED),
        ("malong", RegisterOutcome.NEEDS_CLERK),
    ],
)
async def test_every_answer_has_its_outcome(register, key, outcome):
    assert await ask(register, key) is outcome


async def test_mismatch_and_unknown(register):
    assert await ask(register, "zhaolei", name="赵小磊") is RegisterOutcome.NAME_MISMATCH
    answer = await client(register).verify(name="无名氏", id_number="57010119740923019X", request_no=ids.public_id())
    assert answer is RegisterOutcome.UNKNOWN


async def test_the_same_question_number_gets_the_same_answer(register):
    door, number = client(register), ids.public_id()
    person = PEOPLE["zhaolei"]
    for _ in range(2):
        assert (
            await door.verify(name=person.name, id_number=person.id_number, request_no=number) is RegisterOutcome.MATCH
        )


@pytest.mark.parametrize(
    "effect",
    [
        {"signature": "none"},
        {"signature": "other_key"},
        {"signature": "stale"},
        {"status": 503},
        {"status": 429},
        {"body": "garbage"},
        {"body": "empty"},
        {"drop": "before"},
        {"drop": "after"},
        {"delay_ms": 1500},
        {"result": "something-new"},
    ],
)
async def test_whatever_cannot_be_trusted_concludes_nothing(register, effect):
    register.faults.order({"match": {"call": "verify"}, "effect": effect})
    assert await ask(register, "zhaolei") is RegisterOutcome.UNAVAILABLE
    assert await ask(register, "zhaolei") is RegisterOutcome.MATCH, "the next question is answered"


async def test_wrong_credentials_and_a_dead_register_conclude_nothing(register):
    assert await ask(register, "zhaolei", secret="wrong") is RegisterOutcome.UNAVAILABLE
    assert await ask(register, "zhaolei", app_id="nobody") is RegisterOutcome.UNAVAILABLE
    assert await ask(register, "zhaolei", base_url="http://127.0.0.1:9") is RegisterOutcome.UNAVAILABLE
