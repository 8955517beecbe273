"""The population register: who it knows, what it refuses, and that questions and answers prove where they come from."""

import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.people import DEMO_PEOPLE, check_is_right, with_check
from sandbox.register import Register, build, sign
from sandbox.serving import serving

PEOPLE = {person.key: person for person in DEMO_PEOPLE}
PATH = "/v1/persons/verify"


class Asker:
    """Asks as the product would, and checks every answer's signature."""

    def __init__(self, register: Register, http: aiohttp.ClientSession) -> None:
        self.register = register
        self.http = http

    async def ask(
        self, name: str, id_number: str, *, request_no: str | None = None, raw: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        question = {"request_no": request_no or secrets.token_hex(8), "name": name, "id_number": id_number}
        body = json.dumps(question).encode() if raw is None else raw
        timestamp, nonce = (
            headers.get("X-Timestamp", str(int(time.time()))),
            headers.get("X-Nonce", secrets.token_hex(8)),
        )
        digest = hashlib.sha256(body).hexdigest()
        proofs = {
            "X-App-Id": self.register.app_id,
            "X-Timestamp": timestamp,
            "X-Nonce": nonce,
            "X-Signature": sign(self.register.secret, "POST", PATH, timestamp, nonce, digest),
            **headers,
        }
        async with self.http.post(self.register.url + PATH, data=body, headers=proofs) as answer:
            content = await answer.read()
            right = sign(
                self.register.secret,
                str(answer.status),
                nonce,
                answer.headers.get("X-Timestamp", ""),
                hashlib.sha256(content).hexdigest(),
            )
            self.answer_is_signed = answer.headers.get("X-Signature") == right
            return answer.status, json.loads(content)

    async def result(self, name: str, id_number: str) -> str:
        status, answer = await self.ask(name, id_number)
        assert (status, answer["code"], self.answer_is_signed) == (200, "OK", True)
        return str(answer["result"])

    async def control(self, path: str, **body: object) -> tuple[int, dict[str, Any]]:
        async with self.http.post(f"{self.register.url}/_control{path}", json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def asker(tmp_path: Path) -> AsyncIterator[Asker]:
    async with serving(build, tmp_path) as register, aiohttp.ClientSession() as http:
        yield Asker(register, http)


def test_demo_people_have_invented_numbers_with_right_check_characters() -> None:
    assert all(check_is_right(person.id_number) and person.id_number.startswith("57") for person in DEMO_PEOPLE)
    assert with_check("11010519491231002") == "11010519491231002X"  # the sample of the standard
    assert not check_is_right("570101198504123021")


@pytest.mark.parametrize(
    ("name", "who", "result"),
    [
        ("张桂兰", "zhangguilan", "match"),
        ("张桂芳", "zhangguilan", "name_mismatch"),
        ("孙福海", "sunfuhai", "deceased"),
        ("孙福", "sunfuhai", "name_mismatch"),  # a wrong name learns nothing
        ("古丽•阿依努尔", "guli", "match"),  # another middle dot
    ],
)
async def test_names_against_numbers(asker: Asker, name: str, who: str, result: str) -> None:
    assert await asker.result(name, PEOPLE[who].id_number) == result


async def test_an_unknown_number(asker: Asker) -> None:
    assert await asker.result("某某", "57010119740923019X") == "unknown"


async def test_a_minor_comes_with_the_guardian(asker: Asker) -> None:
    _, answer = await asker.ask("陈小雨", PEOPLE["chenxiaoyu"].id_number)
    assert answer["result"] == "minor"
    assert answer["guardian"] == {"name": "赵磊", "id_number": PEOPLE["zhaolei"].id_number}


async def test_a_rare_character_that_the_register_cannot_write_is_no_mismatch(asker: Asker) -> None:
    person = PEOPLE["malong"]
    _, answer = await asker.ask(person.name, person.id_number)
    assert (answer["result"], answer["registered_name"]) == ("placeholder", "马〓")
    assert await asker.result("牛" + person.name[1:], person.id_number) == "name_mismatch"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-App-Id": "somebody"}, "UNKNOWN_APP"),
        ({"X-Signature": "0" * 64}, "BAD_SIGNATURE"),
        ({"X-Timestamp": str(int(time.time()) - 400)}, "STALE"),
        ({"X-Timestamp": "yesterday"}, "STALE"),
        ({"X-Nonce": "short"}, "BAD_NONCE"),
    ],
)
async def test_an_unproven_question_is_refused(asker: Asker, headers: dict[str, str], code: str) -> None:
    status, answer = await asker.ask("张桂兰", PEOPLE["zhangguilan"].id_number, **headers)
    assert status in (400, 401)
    assert answer["code"] == code
    assert asker.answer_is_signed


async def test_a_nonce_is_good_once(asker: Asker) -> None:
    nonce = secrets.token_hex(8)
    number = PEOPLE["zhangguilan"].id_number
    assert (await asker.ask("张桂兰", number, **{"X-Nonce": nonce}))[0] == 200
    status, answer = await asker.ask("张桂兰", number, **{"X-Nonce": nonce})
    assert (status, answer["code"]) == (401, "REPLAYED")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"not json", "BAD_REQUEST"),
        (b'{"name":"x"}', "BAD_REQUEST"),
        (b'{"request_no":"!","name":"x","id_number":"11010519491231002X"}', "BAD_REQUEST"),
        (b'{"request_no":"12345678","name":"x","id_number":"570101198504123021"}', "BAD_ID_NUMBER"),
    ],
)
async def test_a_senseless_question_is_refused(asker: Asker, raw: bytes, code: str) -> None:
    status, answer = await asker.ask("", "", raw=raw)
    assert (status, answer["code"]) == (400, code)


async def test_the_same_request_number_is_answered_again_but_not_for_another_question(asker: Asker) -> None:
    number = PEOPLE["zhangguilan"].id_number
    first = await asker.ask("张桂兰", number, request_no="request-0001")
    await asker.control("/persons", id_number=number, name="改名了")
    assert await asker.ask("张桂兰", number, request_no="request-0001") == first
    status, answer = await asker.ask("别人", number, request_no="request-0001")
    assert (status, answer["code"]) == (409, "REQUEST_NO_REUSED")


async def test_too_many_queries_and_a_busy_register(asker: Asker) -> None:
    number = PEOPLE["zhangguilan"].id_number
    await asker.control("/config", queries_per_minute=1)
    assert await asker.result("张桂兰", number) == "match"
    status, answer = await asker.ask("张桂兰", number)
    assert (status, answer["code"]) == (429, "TOO_MANY_QUERIES")
    await asker.control("/faults", effect={"status": 503, "code": "BUSY"})
    status, answer = await asker.ask("张桂兰", number)
    assert (status, answer["code"], asker.answer_is_signed) == (503, "BUSY", True)


@pytest.mark.parametrize("proof", ["none", "other_key"])
async def test_an_answer_with_a_bad_proof_can_be_ordered(asker: Asker, proof: str) -> None:
    await asker.control("/faults", effect={"signature": proof})
    await asker.ask("张桂兰", PEOPLE["zhangguilan"].id_number)
    assert not asker.answer_is_signed


async def test_people_can_be_added_changed_and_removed(asker: Asker) -> None:
    number = "57010119740923019X"
    assert (await asker.control("/persons", id_number=number, name="新人"))[0] == 200
    assert await asker.result("新人", number) == "match"
    assert (await asker.control("/persons", id_number=number, state="deceased"))[0] == 200
    assert await asker.result("新人", number) == "deceased"
    async with asker.http.delete(f"{asker.register.url}/_control/persons/{number}") as answer:
        assert answer.status == 200
    assert await asker.result("新人", number) == "unknown"


@pytest.mark.parametrize("wish", [{"id_number": "123"}, {"id_number": "57010119740923019X", "name": "x", "state": "?"}])
async def test_senseless_people_are_refused(asker: Asker, wish: dict[str, object]) -> None:
    status, answer = await asker.control("/persons", **wish)
    assert status == 400
    assert answer["error"]


async def test_the_log_keeps_verdicts(asker: Asker) -> None:
    await asker.ask("张桂兰", PEOPLE["zhangguilan"].id_number)
    await asker.ask("张桂兰", PEOPLE["zhangguilan"].id_number, **{"X-Signature": "bad"})
    lines = asker.register.store.requests(call="verify", after=0, limit=10)
    assert [line["verdict"] for line in lines] == ["ok", "BAD_SIGNATURE"]
