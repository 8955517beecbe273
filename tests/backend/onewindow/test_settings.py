"""The settings of the line to the platform, and what they refuse."""

import pytest

from backend.cases.ports import Outcome
from backend.onewindow.settings import OneWindowSettings
from kernel.config import ConfigError, load_one

GOOD = {
    "ONEWINDOW_BASE_URL": "http://127.0.0.1:18104",
    "ONEWINDOW_RID": "us",
    "ONEWINDOW_SECRET": "s1",
    "ONEWINDOW_PLATFORM_RID": "them",
    "ONEWINDOW_PLATFORM_SECRET": "s2",
}


def loaded(**more: str) -> OneWindowSettings:
    return load_one(OneWindowSettings, {**GOOD, **more})


def test_code_1_is_left_to_a_person_by_default() -> None:
    codes = dict(loaded().result_codes)
    assert codes["0"] is codes["6"] is Outcome.GRANTED
    assert codes["7"] is Outcome.REFUSED
    assert codes["5"] is Outcome.RETURNED
    assert codes["2"] is codes["3"] is Outcome.VOID
    assert "1" not in codes


def test_a_county_may_read_the_codes_differently() -> None:
    codes = dict(loaded(ONEWINDOW_RESULT_CODES="0:granted,1:refused,5:returned,2:void").result_codes)
    assert codes["1"] is Outcome.REFUSED


@pytest.mark.parametrize("text", ["0:granted", "0:granted,0:refused,5:returned,2:void", "0=granted", "0:maybe"])
def test_an_incomplete_or_contradictory_table_is_refused_at_start(text: str) -> None:
    with pytest.raises(ConfigError):
        loaded(ONEWINDOW_RESULT_CODES=text)


def test_the_sm2_profile_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="SM2"):
        loaded(ONEWINDOW_PROFILE="ref-sm")


def test_secrets_do_not_show() -> None:
    assert "s1" not in repr(loaded())
    assert "s2" not in repr(loaded())
