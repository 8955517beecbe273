"""Who may come from where and how often: origins of web pages, addresses, limits."""

import pytest

from tests.security.policy import MISSING
from tests.security.refusals import is_a_problem, is_guarded
from tests.security.stage import H5_ORIGIN, Answer

# -- origins ------------------------------------------------------------------------------------------------------------

FOREIGN = (
    "null", "https://evil.example", "http://h5.yumen.example.gov.cn", "https://h5.yumen.example.gov.cn:8443",
    "https://h5.yumen.example.gov.cn.evil.example", "https://evilh5.yumen.example.gov.cn", "https://H5.yumen.example.gov.cn",
    "https://h5.yumen.example.gov.cn/", "https://yumen.example.gov.cn", " https://h5.yumen.example.gov.cn.",
)  # fmt: skip


async def test_no_web_page_may_read_answers_unless_it_is_listed(stage):
    """Off by default: the mini-program is no web page."""
    for method in ("GET", "OPTIONS"):
        answer = await stage.people["anonymous"].send(method, "/api/v1/items", headers={"Origin": H5_ORIGIN})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_an_origin_that_only_looks_like_a_listed_one_is_foreign(stage, origin):
    bare, anybody = stage.stack.bare, stage.people["anonymous"]
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = await anybody.send(method, "/api/v1/items", headers=asked, base=bare)
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


async def test_a_listed_origin_may_read_answers_and_refusals_without_cookies(stage):
    bare = stage.stack.bare
    for path, status in (("/api/v1/items", 200), ("/api/v1/me", 401), ("/api/v1/nothing", 404)):
        answer = await stage.people["anonymous"].send("GET", path, headers={"Origin": H5_ORIGIN}, base=bare)
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == H5_ORIGIN
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    asked = {"Origin": H5_ORIGIN, "Access-Control-Request-Method": "PUT"}
    answer = await stage.people["anonymous"].send("OPTIONS", "/api/v1/cases", headers=asked, base=bare)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == H5_ORIGIN
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]


# -- limits and addresses -------------------------------------------------------------------------------------------------


async def lookups(stage, caller, times: int, **headers: str) -> list[Answer]:
    """Tries to guess a query password, as somebody at one address would."""
    body = {"case_no": MISSING["case_no"], "password": "000000"}
    return [await caller.send("POST", "/api/v1/case-query", json=body, headers=headers) for _ in range(times)]


async def test_too_many_tries_are_429_and_say_when_to_come_back(stage):
    answers = await lookups(stage, stage.caller(), 11)
    assert [a.status for a in answers[:10]] == [404] * 10
    is_a_problem(answers[-1], 429, "too-many-requests")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3600
    is_guarded(answers[-1])
    assert (await lookups(stage, stage.caller(), 1))[0].status == 404  # somebody else is not punished


@pytest.mark.parametrize("door", ["/api/v1/documents/", "/verify/"])
async def test_codes_of_papers_are_not_tried_one_after_the_other(stage, door):
    caller, code = stage.caller(), MISSING["code"]
    answers = [await caller.send("GET", f"{door}{n:02d}{code[2:]}") for n in range(31)]
    assert [a.status for a in answers[:30]] == [404] * 30
    assert len({a.body if "html" in a.headers["Content-Type"] else a.code for a in answers[:30]}) == 1
    is_a_problem(answers[-1], 429, "too-many-requests")
    assert (await stage.caller().send("GET", f"{door}{code}")).status == 404


@pytest.mark.parametrize("name", ["X-Real-IP", "X-Forwarded-For", "Forwarded", "X-Forwarded-Host"])
async def test_nobody_can_invent_a_new_address_for_themselves(stage, name):
    """Neither through nginx, which overwrites what a client claims, nor without it, where nothing is believed (ASVS 4.1.3)."""
    for base in (stage.stack.api, stage.stack.bare):
        caller = stage.caller(base=base)
        statuses = [(await lookups(stage, caller, 1, **{name: f"203.0.113.{n}"}))[0].status for n in range(11)]
        assert statuses == [404] * 10 + [429]


async def test_limits_of_an_account_follow_it_to_another_address(stage):
    citizen = await stage.citizen("malong", verified=False)
    first, second = stage.caller(citizen.token), stage.caller(citizen.token)
    path = f"/api/v1/cases/{MISSING['case_no']}/query-password"
    for turn in range(5):
        assert (await (first, second)[turn % 2].send("POST", path)).status == 404
    assert (await first.send("POST", path)).status == (await second.send("POST", path)).status == 429
