"""docs/events.md against what a played journey really wrote: payloads, lanes, and no personal data in any promise."""

import re

from tests.docs.pages import page, rows, sections

PAGE = sections(page("events.md"))
WORDS = re.compile(r"`([^`]+)`")
PLAYED = {
    "case.submitted", "case.ready", "case.corrected", "case.status_changed", "case.granted", "bill.paid", "parcel.booked",
    "parcel.moved", "parcel.out_for_delivery", "parcel.delivered",
}  # fmt: skip


async def test_payloads_and_lanes_are_those_of_the_page(county):
    citizen = await county.citizen(proven=False)
    async for _ in citizen.play():
        pass
    written = await county.promises()
    assert {topic for topic, *_ in written} >= PLAYED
    events = {WORDS.findall(row[0])[0]: row for row in rows(PAGE["Events"])}
    topics = {WORDS.findall(row[0])[0]: row for row in rows(PAGE["Topics"])}
    for topic, key, lane, payload in written:
        if topic in events:
            row = events[topic]
            assert set(payload) == set(WORDS.findall(row[1])), topic
            assert lane == WORDS.findall(row[4])[0].format(**payload), topic
            assert key.startswith(f"{topic}:")
        elif topic in topics and topics[topic][1] != "as the event":
            assert set(payload) - {"tries"} == set(WORDS.findall(topics[topic][1])), topic
        else:
            assert topic.startswith("job.") or topic in topics, topic


async def test_no_promise_carries_personal_data(county):
    citizen = await county.citizen()
    await citizen.applied()
    text = str(await county.promises())
    for person in county.known:
        assert person.name not in text
        assert person.id_number not in text
    assert not re.search(r"(?<!\d)1[3-9]\d{9}(?!\d)", text), "a mobile number"
