"""Screening by properties.

Complete is accepted, and whatever is taken away is named, once each, whatever else is wrong.
"""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.cases.screening import MaterialChoice, Promise, screen
from backend.catalog.views import MaterialRule

TODAY = date(2026, 11, 19)


@st.composite
def handed_in(draw):
    """Rules of an item, and for some of them clean files."""
    needs = draw(st.lists(st.sampled_from(["required", "optional", "tolerable"]), min_size=1, max_size=6))
    rules = [
        MaterialRule(
            code=f"M{n}", name=f"材料{n}", need=need, kind="photo", source="本人", purpose_text="", how_text="", max_files=2
        )
        for n, need in enumerate(needs)
    ]  # fmt: skip
    given_codes = draw(st.sets(st.sampled_from([rule.code for rule in rules])))
    choices = [MaterialChoice(code=code, material_ids=(f"f-{code}",)) for code in sorted(given_codes)]
    return rules, choices


def judge(rules, choices, *, promise=None, states=None, only=None):
    usable = {f"f-{rule.code}": "clean" for rule in rules} | (states or {})
    return screen(rules=rules, choices=choices, usable=usable, promise=promise, today=TODAY, only=only)


@given(handed_in())
def test_exactly_what_is_missing_is_named(case):
    rules, choices = case
    handed = {choice.code for choice in choices}
    missing = {rule.code for rule in rules if rule.need != "optional" and rule.code not in handed}
    assert {error.pointer for error in judge(rules, choices).errors} == {f"/materials/{code}" for code in missing}


@given(handed_in())
def test_a_promise_covers_tolerable_materials_and_nothing_else(case):
    rules, choices = case
    promise = Promise(
        codes=tuple(rule.code for rule in rules if rule.need == "tolerable"),
        until_on=TODAY + timedelta(days=5),
        confirmed=True,
    )
    screened = judge(rules, choices, promise=promise)
    handed = {choice.code for choice in choices}
    lacking = {rule.code: rule.need for rule in rules if rule.code not in handed}
    assert set(screened.deferred_codes) == {code for code, need in lacking.items() if need == "tolerable"}
    assert {error.pointer for error in screened.errors} == {
        f"/materials/{code}" for code, need in lacking.items() if need == "required"
    }


@given(handed_in(), st.sampled_from(["received", "refused", "unknown"]))
def test_a_file_that_is_not_clean_is_worth_nothing(case, state):
    rules, choices = case
    states = {f"f-{rule.code}": state for rule in rules}
    named = {error.pointer for error in judge(rules, choices, states=states).errors}
    assert {f"/materials/{choice.code}/0" for choice in choices} <= named


@given(handed_in(), st.integers(-400, 400))
def test_a_promise_needs_a_day_that_is_neither_past_nor_far(case, days):
    rules, choices = case
    promise = Promise(codes=(), until_on=TODAY + timedelta(days=days), confirmed=True)
    named = {error.pointer for error in judge(rules, choices, promise=promise).errors}
    assert ("/promise/until_on" in named) == (not 1 <= days <= 60)


@given(handed_in())
def test_a_correction_asks_only_for_what_it_lists(case):
    rules, choices = case
    assert judge(rules, [], only=frozenset()).errors == ()
    named = {error.pointer for error in judge(rules, choices, only=frozenset({"M0"})).errors}
    assert named <= {"/materials/M0"}


def test_too_many_twice_and_repeated_files_are_named():
    rule = MaterialRule(
        code="A/1", name="照片", need="required", kind="photo", source="", purpose_text="", how_text="", max_files=1
    )
    choice = MaterialChoice(code="A/1", material_ids=("f", "f"))
    errors = judge([rule], [choice, choice], states={"f": "clean"}).errors
    assert {error.pointer for error in errors} == {"/materials/A~11"}
    assert len({error.message for error in errors}) == 3
