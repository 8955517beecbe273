"""What each answer of the platform means: the table of the contract, and the words integrators use instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.onewindow.answers import GOALS, Meaning, Reply, read


def meaning(
    code: int | None, *, verb: str = "case.push", http: int = 200, message: str = "", **data: object
) -> Meaning:
    return read(verb, Reply(http, code, message, data)).meaning


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (200, Meaning.DONE),
        (300, Meaning.PARK),
        (301, Meaning.SIGN),
        (302, Meaning.PARK),
        (303, Meaning.PARK),
        (304, Meaning.PARK),
        (305, Meaning.UPLOAD),
        (429, Meaning.LATER),
        (500, Meaning.LATER),
    ],
)
def test_the_table_of_codes(code: int, expected: Meaning) -> None:
    assert meaning(code) is expected


def test_a_duplicate_is_success() -> None:
    assert meaning(200, duplicate=True) is Meaning.ALREADY


@pytest.mark.parametrize(
    ("verb", "state", "expected"),
    [
        ("case.push", "RECEIVED", Meaning.ALREADY),
        ("case.push", "FINISHED", Meaning.ALREADY),
        ("case.push", "DRAFT", Meaning.PARK),
        ("case.supplement", "SUPPLEMENTED", Meaning.ALREADY),
        ("case.supplement", "FINISHED", Meaning.PARK),
        ("case.withdraw", "WITHDRAWN", Meaning.ALREADY),
        ("case.withdraw", "DRAFT", Meaning.ALREADY),
        ("case.withdraw", "FINISHED", Meaning.PARK),
        ("delivery.push", "DELIVERED", Meaning.ALREADY),
        ("delivery.push", "ACCEPTED", Meaning.PARK),
        ("serial.new", "DRAFT", Meaning.PARK),
    ],
)
def test_306_is_success_when_the_goal_is_reached(verb: str, state: str, expected: Meaning) -> None:
    assert meaning(306, verb=verb, state=state) is expected


def test_words_of_integrators_win_over_their_codes() -> None:
    assert meaning(300, message="当前业务已办结") is Meaning.ALREADY
    assert meaning(300, message="接口令牌不存在，请重新获取") is Meaning.LATER
    assert meaning(300, message="材料不全") is Meaning.PARK


def test_too_large_is_for_a_person_and_a_proxy_page_is_for_later() -> None:
    assert meaning(None, http=413) is Meaning.PARK
    assert meaning(None, http=200) is Meaning.LATER
    assert meaning(None, http=502) is Meaning.LATER
    assert meaning(200, http=503) is Meaning.LATER


def test_the_platform_says_how_long_to_wait_within_reason() -> None:
    assert read("case.push", Reply(200, 429, "", {"retryafter": 7})).wait_seconds == 7
    assert read("case.push", Reply(200, 429, "", {"retryafter": "9"})).wait_seconds == 9
    assert read("case.push", Reply(200, 429, "", {"retryafter": 10**9})).wait_seconds == 3600
    for strange in (None, True, "soon", "nan", [], {}):
        assert read("case.push", Reply(200, 429, "", {"retryafter": strange})).wait_seconds is None


@given(st.sampled_from(sorted(GOALS)), st.integers(-1, 10**6), st.text(max_size=20), st.text(max_size=12))
def test_only_what_the_contract_calls_success_is_success(verb: str, code: int, message: str, state: str) -> None:
    found = meaning(code, verb=verb, message=message, state=state)
    if found in (Meaning.DONE, Meaning.ALREADY):
        assert code == 200 or "当前业务已" in message or (code == 306 and state in GOALS[verb])
