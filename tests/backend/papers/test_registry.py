"""The code on a paper: made once, guessed by nobody, and answered by the slice that knows the paper now."""

import asyncio
import re

import msgspec
import pytest

from backend.papers import registry
from backend.papers.models import Paper
from backend.papers.registry import PaperView
from backend.papers.settings import PapersSettings
from kernel import clock
from kernel.problems import NotFound


class Office:
    """A slice that gives out papers: it knows what each says now."""

    def __init__(self):
        self.known: dict[str, str] = {"1": "有效", "2": "有效"}

    async def tell(self, number: str) -> PaperView | None:
        label = self.known.get(number)
        return label and PaperView(
            kind="slip", kind_label="收件凭证", issuer="玉门市民政局", title="优待证", holder_mask="张*",
            issued_at=clock.now(), status="valid", status_label=label,
        )  # fmt: skip


@pytest.fixture
async def office(database, frozen_clock):
    place = Office()
    registry.configure(PapersSettings(public_url="https://zsb.example.gov.cn/"), {"slip": place.tell})
    yield place
    registry.configure(PapersSettings(), {})


async def test_a_paper_has_one_code_for_ever(office):
    first = await registry.code_of(kind="slip", number="1")
    assert await registry.code_of(kind="slip", number="1") == first
    assert await registry.code_of(kind="slip", number="2") != first
    assert re.fullmatch("[0-9A-Z]{26}", first), "128 random bits"


async def test_ten_prints_at_once_have_one_code(office):
    codes = await asyncio.gather(*(registry.code_of(kind="slip", number="1") for _ in range(10)))
    assert len(set(codes)) == 1
    assert await Paper.all().count() == 1


async def test_what_a_stranger_is_told_is_how_it_stands_now(office):
    code = await registry.code_of(kind="slip", number="1")
    assert (await registry.verify(code=code)).status_label == "有效"
    office.known["1"] = "已作废"
    assert (await registry.verify(code=code)).status_label == "已作废"


async def test_every_code_that_is_no_papers_is_answered_alike(office):
    """Never given out, given out for a paper that is gone, of a kind that nobody answers for any more."""
    code = await registry.code_of(kind="slip", number="1")
    del office.known["1"]
    await Paper.create(code="Z" * 26, kind="old", number="9")
    answers = []
    for wrong in ("0" * 26, code, "Z" * 26):
        with pytest.raises(NotFound) as refused:
            await registry.verify(code=wrong)
        answers.append((refused.value.status, refused.value.code, refused.value.detail))
    assert len(set(answers)) == 1


async def test_a_kind_that_nobody_answers_for_gets_no_code(office):
    with pytest.raises(RuntimeError, match="kind"):
        await registry.code_of(kind="other", number="1")
    assert await Paper.all().count() == 0


async def test_the_address_holds_the_code_and_nothing_else(office):
    code = await registry.code_of(kind="slip", number="1")
    assert registry.address_of(code) == f"https://zsb.example.gov.cn/verify/{code}"
    registry.configure(PapersSettings(), {"slip": office.tell})
    assert registry.address_of(code) == ""


@pytest.mark.parametrize(
    "wrong",
    ["zsb.gov.cn", "ftp://zsb.gov.cn", "https://zsb.gov.cn/?a=1", "https://a:b@zsb.gov.cn", "https://" + "a" * 99],
)
def test_an_address_that_phones_cannot_open_is_refused(wrong):
    with pytest.raises(ValueError, match="PAPERS_PUBLIC_URL"):
        PapersSettings(public_url=wrong)


def test_production_wants_a_public_https_address():
    assert PapersSettings(public_url="https://zsb.gov.cn").production_complaints() == []
    for wrong in ("", "http://zsb.gov.cn"):
        assert "PAPERS_PUBLIC_URL" in PapersSettings(public_url=wrong).production_complaints()[0]


def test_a_view_has_no_room_for_more_than_a_stranger_may_know():
    assert {f.name for f in msgspec.structs.fields(PaperView)} == {
        "kind", "kind_label", "issuer", "title", "holder_mask", "issued_at", "status", "status_label", "amount_fen",
        "returned_fen",
    }  # fmt: skip
