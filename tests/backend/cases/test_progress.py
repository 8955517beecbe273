"""Facts of the platform: once each, in any order to the same end, never backwards, and never guessed away."""

import asyncio
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import payments
from backend.cases import corrections, progress, queries, results, runtime, service, steps
from backend.cases.models import Case, Event
from backend.cases.ports import Applied, CertificateFact, Outcome, Shortcoming, SuspensionKind
from backend.cases.screening import MaterialChoice
from backend.cases.settings import CasesSettings
from backend.cases.states import Action, By, CaseState
from backend.cases.texts import SENTENCES
from kernel import clock, db, storage
from kernel.problems import NotFound
from kernel.state_machine import IllegalTransition
from payments import runtime as payments_runtime
from payments.settings import PaymentSettings
from tests.backend.cases.conftest import Planner
from tests.conftest import TESTED_APPS, settings_for


def tell(world, case_no, call, ref, *, minutes=0, **details):
    return call(case_no=case_no, source_ref=ref, at=world.at(minutes), **details)


SHORT = (Shortcoming(material_code="PHOTO", problem="照片不清楚"),)
YES = {"outcome": Outcome.GRANTED, "code": "0"}


async def test_the_ordinary_way_from_receipt_to_certificate(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.record_received, "1", receiver="综合窗口")
    assert await world.state(case_no) == "SUBMITTED"
    await tell(world, case_no, progress.accept, "2", minutes=1, promise_on=date(2026, 11, 24), document_no="受字1号")
    assert await world.state(case_no) == "ACCEPTED"
    await tell(world, case_no, progress.record_step, "3", minutes=2, name="审核", office="养老服务股", opinion="同意")
    assert await world.state(case_no) == "PROCESSING"
    certificate = CertificateFact(name="老年人优待证", number="甘优620981000123", issuer="玉门市民政局")
    await tell(
        world,
        case_no,
        progress.decide,
        "4",
        minutes=3,
        explain="准予补办",
        certificates=(certificate,),
        deliver=True,
        **YES,
    )
    await tell(world, case_no, progress.close, "5", minutes=4)
    detail = await queries.detail(actor=world.citizen, case_no=case_no)
    assert (detail.accepted_at, detail.ended_at) == (world.at(1), world.at(3))
    assert (detail.status, detail.promise_on, detail.result.explain) == ("granted", date(2026, 11, 24), "准予补办")
    assert detail.result.certificates[0].number == "甘优620981000123"
    assert (await world.case(case_no)).deliver
    assert [key for key, _, _ in await world.promises("case.granted")] == [f"case.granted:{case_no}:1"]
    texts = [entry.text for entry in await queries.timeline(actor=world.citizen, case_no=case_no)]
    assert texts == [
        "您提交了申请",
        "受理平台已收到您的申请（综合窗口）",
        "申请已受理，承诺 2026-11-24 前办结，受理文书号 受字1号",
        "受理单位开始办理",
        "办理环节：审核（养老服务股）",
        "已办结：准予",
        "受理单位已归档",
    ]


async def test_a_second_copy_changes_nothing_at_all(world):
    case_no = await world.submitted()
    assert await tell(world, case_no, progress.accept, "2") is Applied.APPLIED
    before = await world.events(case_no)
    assert await tell(world, case_no, progress.accept, "2", minutes=9) is Applied.ALREADY
    assert await world.events(case_no) == before


async def test_the_same_news_under_another_key_is_success_and_moves_nothing(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.accept, "2")
    assert await tell(world, case_no, progress.accept, "2b") is Applied.LATE
    assert await world.events(case_no) == [("submit", None), ("accept", None), ("accept", "late")]
    assert len(await world.promises("case.status_changed")) == 2


async def test_the_earliest_acceptance_told_is_the_one_that_counts(world):
    case_no = await world.submitted()
    for ref, minutes in (("a", 5), ("b", 2), ("c", 9)):
        await tell(world, case_no, progress.accept, ref, minutes=minutes)
    assert (await world.case(case_no)).accepted_at == world.at(2)


async def test_a_correction_told_before_the_acceptance_it_followed_returns_to_processing(world):
    """In both orders: the office accepted at minute 1 and asked at minute 2, so it had begun to work on the case."""
    for order in ("accept first", "correction first"):
        case_no = await world.submitted()
        calls = [
            lambda n=case_no: tell(world, n, progress.accept, "a", minutes=1),
            lambda n=case_no: tell(world, n, corrections.ask_correction, "c", minutes=2, items=SHORT),
        ]
        for call in calls if order == "accept first" else calls[::-1]:
            await call()
        choice = MaterialChoice(code="PHOTO", material_ids=(await world.photo(),))
        moved = await corrections.answer(actor=world.citizen, case_no=case_no, number=1, materials=(choice,))
        assert moved.status == "processing"


async def test_a_result_right_after_submission_writes_every_step_it_implies(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.decide, "9", **YES)
    assert await world.events(case_no) == [
        ("submit", None),
        ("accept", "implied"),
        ("start", "implied"),
        ("grant", None),
    ]
    passing = [payload["passing"] for _, _, payload in await world.promises("case.status_changed")]
    assert passing == [False, True, True, False]


@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome.REFUSED, "REFUSED"), (Outcome.RETURNED, "RETURNED"), (Outcome.VOID, "VOID")]
)
async def test_an_unsuccessful_end_owes_money_back_and_cancels_the_parcel(world, outcome, state):
    case_no = await world.submitted()
    await tell(world, case_no, progress.decide, "9", outcome=outcome, code="7", reason="不符合条件")
    assert await world.state(case_no) == state
    assert not await payments.outstanding(f"case:{case_no}")
    ((_, _, payload),) = await world.promises("case.refused")
    assert payload == {"case_no": case_no, "state": state}
    detail = await queries.detail(actor=world.citizen, case_no=case_no)
    assert (detail.finished, detail.result.reason) == (True, "不符合条件")


async def test_a_refusal_to_accept_comes_with_its_reason(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.decline, "2", reason="户籍不在玉门")
    assert await world.state(case_no) == "NOT_ACCEPTED"
    entry = (await queries.timeline(actor=world.citizen, case_no=case_no))[-1]
    assert (entry.text, entry.detail) == ("受理单位决定不予受理", "户籍不在玉门")


async def test_contradictions_are_kept_and_shown_never_applied(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.decide, "1", **YES)
    assert await tell(world, case_no, progress.decide, "2", outcome=Outcome.REFUSED, code="7") is Applied.LATE
    case = await world.case(case_no)
    assert (case.state, case.flagged) == ("GRANTED", "refused-after-granted")
    assert case.outcome == "granted"

    withdrawn = await world.submitted()
    await service.withdraw(actor=world.citizen, case_no=withdrawn, reason="")
    await tell(world, withdrawn, progress.decide, "1", **YES)
    case = await world.case(withdrawn)
    assert (case.state, case.flagged) == ("WITHDRAWN", "granted-after-withdrawn")

    accepted = await world.submitted()
    await tell(world, accepted, progress.accept, "1")
    await tell(world, accepted, progress.decline, "2", reason="不受理")
    case = await world.case(accepted)
    assert (case.state, case.flagged) == ("ACCEPTED", "not_accepted-in-accepted")


async def test_the_platform_may_confirm_a_withdrawal_in_its_own_way(world):
    case_no = await world.submitted()
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="")
    for ref, outcome in (("1", Outcome.VOID), ("2", Outcome.RETURNED)):
        await tell(world, case_no, progress.decide, ref, outcome=outcome, code="2")
    case = await world.case(case_no)
    assert (case.state, case.flagged) == ("WITHDRAWN", None)


async def test_a_granted_case_can_still_be_voided(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.decide, "1", **YES)
    await tell(world, case_no, progress.decide, "2", outcome=Outcome.VOID, code="2", reason="证件号错误")
    assert await world.state(case_no) == "VOID"


async def test_pauses_open_and_close_by_their_own_ids(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.accept, "1")
    pause = {"suspension_ref": "s1", "kind": SuspensionKind.SPECIAL, "name": "公示", "until_on": date(2026, 12, 1)}
    await tell(world, case_no, progress.suspend, "2", **pause)
    assert await world.state(case_no) == "SPECIAL"
    second = {"suspension_ref": "s2", "kind": SuspensionKind.SUSPENDED, "name": "等待批复"}
    await tell(world, case_no, progress.suspend, "3", **second)
    assert await world.state(case_no) == "SPECIAL"
    await tell(world, case_no, progress.resume, "4", suspension_ref="s1")
    assert await world.state(case_no) == "SUSPENDED"
    await tell(world, case_no, progress.resume, "5", suspension_ref="s2", result="已批复")
    assert await world.state(case_no) == "PROCESSING"


async def test_an_end_told_before_its_beginning_stays_an_end(world):
    case_no = await world.submitted()
    await tell(world, case_no, progress.resume, "4", minutes=5, suspension_ref="s1")
    pause = {"suspension_ref": "s1", "kind": SuspensionKind.SUSPENDED, "name": "等待"}
    await tell(world, case_no, progress.suspend, "2", minutes=1, **pause)
    assert await world.state(case_no) == "PROCESSING"


async def test_facts_about_a_draft_or_an_unknown_case_are_refused_loudly(world):
    with pytest.raises(IllegalTransition):
        await tell(world, await world.draft(), progress.accept, "1")
    with pytest.raises(NotFound):
        await tell(world, "620981261119299999995", progress.accept, "1")


async def test_result_files_are_kept_once_and_read_by_their_owner_only(world):
    case_no = await world.submitted()
    key = storage.new_key("result")
    await storage.put(key, b"%PDF")
    file = {"name": "优待证.pdf", "mime": "application/pdf", "storage_key": key, "sha256": "0" * 64, "bytes": 4}
    for expected in (Applied.APPLIED, Applied.ALREADY):
        assert await tell(world, case_no, results.add_result_file, "f1", **file) is expected
    await tell(world, case_no, progress.decide, "9", **YES)
    (shown,) = (await queries.detail(actor=world.citizen, case_no=case_no)).result.files
    _, data = await results.read_file(actor=world.citizen, case_no=case_no, file_id=shown.file_id)
    assert data == b"%PDF"
    for actor, number, file_id in (
        (world.neighbour, case_no, shown.file_id),
        (world.citizen, "620981261119299999995", shown.file_id),
        (world.citizen, case_no, "x" * 26),
    ):
        with pytest.raises(NotFound):
            await results.read_file(actor=actor, case_no=number, file_id=file_id)


async def test_ten_copies_at_once_write_one_event(world):
    case_no = await world.submitted()
    told = await asyncio.gather(*(tell(world, case_no, progress.accept, "1") for _ in range(10)))
    assert sorted(told) == [Applied.ALREADY] * 9 + [Applied.APPLIED]


async def test_sequences_have_no_hole_and_join_the_callers_transaction(world):
    case_no = await world.submitted()
    with pytest.raises(RuntimeError, match="crash"):
        async with db.transaction():
            await tell(world, case_no, progress.accept, "1")
            raise RuntimeError("crash")
    assert await world.events(case_no) == [("submit", None)]
    await tell(world, case_no, progress.decide, "2", **YES)
    case = await world.case(case_no)
    assert (
        [event.seq for event in await Event.filter(case_id=case.id).order_by("seq")]
        == [1, 2, 3, 4]
        == list(range(1, case.seq + 1))
    )


def test_every_event_has_a_sentence_a_citizen_understands():
    assert set(SENTENCES) >= steps.STEP_KINDS | {"received", "step", "result_file", "archived"}


# ------------------------------------------------------------------------------- any order leads to the same end

BEFORE = ("received", "correction")
AFTER = ("step", "pause", "resume", "correction", "step")
ENDS = (None, "granted", "refused", "void", "close")


@st.composite
def histories(draw):
    """A history as an office lives it, and the order in which its messages arrive; some of them arrive twice."""
    story = list(draw(st.permutations(BEFORE))[: draw(st.integers(0, 2))])
    if draw(st.booleans()):
        story.append("accept")
        story += [kind for kind in AFTER if draw(st.booleans())]
        end = draw(st.sampled_from(ENDS))
        story += [end] if end else []
    elif draw(st.booleans()):
        story.append("decline")
    told = [(number, kind) for number, kind in enumerate(story)]
    arrival = draw(st.permutations(told + draw(st.lists(st.sampled_from(told), max_size=2)) if told else told))
    return told, arrival


async def play(case_no, started, messages):
    for number, kind in messages:
        base = {"case_no": case_no, "source_ref": f"m{number}", "at": started + timedelta(minutes=number)}
        match kind:
            case "received":
                await progress.record_received(**base)
            case "accept":
                await progress.accept(**base, promise_on=date(2026, 12, 1))
            case "step":
                await progress.record_step(**base, name="审核")
            case "correction":
                await corrections.ask_correction(**base, items=SHORT)
            case "pause":
                await progress.suspend(**base, suspension_ref="s", kind=SuspensionKind.SPECIAL, name="公示")
            case "resume":
                await progress.resume(**base, suspension_ref="s")
            case "decline":
                await progress.decline(**base, reason="不符")
            case "close":
                await progress.close(**base)
            case outcome:
                await progress.decide(**base, outcome=Outcome(outcome), code="0")


async def bare_case(case_no):
    case = await Case.create(
        case_no=case_no, account_ref="a" * 26, item_code="X", item_version_id=1, item_name="x", region_code="6" * 12,
        department_name="d", project_type="promised", state=CaseState.DRAFT, changed_at=clock.now(), data_version=1,
        submitted_at=clock.now(),
    )  # fmt: skip
    async with db.transaction():
        case = await steps.locked(case_no=case_no)
        await steps.take(case, Action.SUBMIT, steps.Fact(by=By.APPLICANT, at=clock.now()))


async def outcome_of(case_no):
    case = await Case.get(case_no=case_no)
    refs = sorted(event.source_ref for event in await Event.filter(case_id=case.id) if event.source_ref)
    return case.state, case.accepted_at, case.promise_on, case.received_at, case.archived_at, case.flagged, refs


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_any_order_of_arrival_ends_in_the_same_state(database_url, frozen_clock, tmp_path, history):
    told, arrival = history

    async def compare():
        await db.connect(settings_for(database_url), TESTED_APPS)
        try:
            payments_runtime.use(PaymentSettings(), {})
            runtime.configure(CasesSettings(), planner=Planner(), work_folder=tmp_path / "w", production=False)
            number = await Case.all().count()
            ordered, shuffled = f"{number:021d}", f"{number + 1:021d}"
            started = clock.now()
            for case_no, messages in ((ordered, told), (shuffled, arrival)):
                await bare_case(case_no)
                await play(case_no, started, messages)
            assert await outcome_of(ordered) == await outcome_of(shuffled)
        finally:
            await db.close()

    asyncio.run(compare())
