"""Case numbers: 21 digits, every wrong digit found, overflow refused; query passwords.

Random, keyed, bound to their case.
"""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases import numbers

SERIALS = st.integers(1, numbers.MAX_SERIAL)
DAY = date(2026, 11, 19)


def composed(serial=1, region="620981000000", kind="promised"):
    return numbers.compose(region_code=region, on=DAY, project_type=kind, serial=serial)


def test_the_parts_stand_where_the_pattern_says():
    number = composed(serial=42)
    assert len(number) == numbers.CASE_NO_DIGITS
    assert (number[:6], number[6:12], number[12], number[13:20]) == ("620981", "261119", "2", "0000042")


def test_the_kind_digit_follows_the_national_list():
    assert composed(kind="instant")[12] == "1"
    assert composed(kind="promised")[12] == "2"
    assert composed(kind="anything else")[12] == "9"


def test_check_digit_of_the_standard():
    """ISO 7064 prints 0794 with check digit 5 for MOD 11,10."""
    assert numbers.check_digit("0794") == "5"


@given(SERIALS)
def test_a_number_is_recognised(serial):
    assert numbers.is_case_no(composed(serial))


@given(SERIALS, st.integers(0, 20), st.integers(1, 9))
def test_every_single_wrong_digit_is_found(serial, place, change):
    number = composed(serial)
    wrong = str((int(number[place]) + change) % 10)
    assert not numbers.is_case_no(number[:place] + wrong + number[place + 1 :])


@pytest.mark.parametrize("text", ["", "1" * 20, "1" * 22, "62098126111920000042a", "６" * 21, "620981\n" + "0" * 15])
def test_other_texts_are_not_numbers(text):
    assert not numbers.is_case_no(text)


def test_the_last_serial_of_a_day_still_fits_and_the_next_is_refused_loudly():
    assert composed(numbers.MAX_SERIAL)[13:20] == "9999999"
    with pytest.raises(numbers.NumbersExhausted):
        composed(numbers.MAX_SERIAL + 1)


@pytest.mark.parametrize(("region", "serial"), [("620981", 1), ("62098100000x", 1), ("620981000000", 0)])
def test_nonsense_is_a_bug_not_a_number(region, serial):
    with pytest.raises(ValueError):
        composed(serial, region=region)


async def test_the_database_counts_apart_for_each_county_and_day(database, frozen_clock):
    async def issue(region):
        return (await numbers.new_case_no(region_code=region, project_type="promised"))[13:20]

    assert [await issue("620981000000") for _ in range(2)] == ["0000001", "0000002"]
    assert await issue("620981101000") == "0000003"  # a township counts with its county
    assert await issue("620902000000") == "0000001"
    frozen_clock.advance(days=1)
    assert await issue("620981000000") == "0000001"


def test_query_passwords_are_six_random_digits():
    made = {numbers.new_query_password() for _ in range(500)}
    assert len(made) > 480
    assert all(len(password) == 6 and password.isdigit() for password in made)


def test_a_password_opens_its_own_case_only():
    stored = numbers.query_password_hash(case_no=composed(1), password="123456")
    assert "123456" not in stored
    assert numbers.query_password_matches(case_no=composed(1), password="123456", stored_hash=stored)
    assert not numbers.query_password_matches(case_no=composed(1), password="123457", stored_hash=stored)
    assert not numbers.query_password_matches(case_no=composed(2), password="123456", stored_hash=stored)


def test_a_case_without_a_password_is_opened_by_none():
    assert not numbers.query_password_matches(case_no=composed(), password="", stored_hash="")
