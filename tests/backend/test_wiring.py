"""The assembled product: every event has listeners or none on purpose, every topic one handler, every message its words."""

from backend import notices, wiring
from backend.cases.states import CASE, CaseState
from backend.delivery.states import ParcelState
from kernel.worker import Worker


def test_the_worker_can_be_built_from_every_slice():
    Worker(topics=wiring.topics(), subscriptions=wiring.subscriptions(), recurring=wiring.recurring())


def test_every_subscriber_is_a_topic_with_a_handler():
    known = {topic.name for topic in wiring.topics()}
    for event, subscribers in wiring.subscriptions().items():
        assert set(subscribers) <= known, event


def test_names_of_timers_are_unique():
    names = [job.name for job in wiring.recurring()]
    assert len(names) == len(set(names))


def test_every_state_a_citizen_can_meet_has_words_of_at_most_five_han():
    """WeChat's status field takes five; correcting and draft are told otherwise or not at all."""
    untold = {CaseState.DRAFT, CaseState.CORRECTING}
    assert set(CASE.labels) - set(notices.CASE_WORDS) == untold
    for word in (*notices.CASE_WORDS.values(), *notices.PARCEL_WORDS.values()):
        assert 1 <= len(word.status) <= 5
        assert len(word.hint) <= 20


def test_every_word_about_a_parcel_belongs_to_a_state():
    assert set(notices.PARCEL_WORDS) <= {state.value for state in ParcelState}
