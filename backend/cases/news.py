"""What a message about a case needs to say; for `backend.notices`. The caller is the worker, never a person."""

from datetime import date, datetime

import msgspec

from backend.cases.corrections import OPEN, list_of
from backend.cases.models import Case, Correction, Event
from backend.cases.states import CaseState
from backend.catalog import queries as catalog
from kernel import clock
from kernel.problems import NotFound


class CaseNews(msgspec.Struct, frozen=True, kw_only=True):
    """Whose case, what it is about, and when event `seq` happened."""

    account_ref: str
    item_name: str
    at: datetime
    # The event led out of a correction.
    after_correction: bool
    # The case stands granted now: there is a result to hand over.
    granted: bool


class CorrectionNews(msgspec.Struct, frozen=True, kw_only=True):
    """The open correction in one line."""

    what: str
    until_on: date


async def about(case_no: str, *, seq: int | None = None) -> CaseNews:
    """The facts of a message; with `seq` as of that event. Raises NotFound."""
    case = await Case.get_or_none(case_no=case_no)
    if case is None:
        raise NotFound("没有找到这件申请")
    event = await Event.get_or_none(case_id=case.id, seq=seq) if seq is not None else None
    return CaseNews(
        account_ref=case.account_ref,
        item_name=case.item_name,
        at=event.at if event is not None else clock.now(),
        after_correction=event is not None and event.from_state == CaseState.CORRECTING,
        granted=case.state == CaseState.GRANTED,
    )


async def open_correction(case_no: str) -> CorrectionNews | None:
    """What the person is asked to put right; None when it has been answered meanwhile."""
    correction = await Correction.filter(case__case_no=case_no, state=OPEN).order_by("-number").first()
    case = await Case.get_or_none(case_no=case_no)
    if correction is None or case is None:
        return None
    item = await catalog.version(case.item_version_id)
    names = {rule.code: rule.name for rule in item.materials}
    asked = list_of(case_no, correction)
    what = "、".join(names.get(line.material_code, "申请表") for line in asked.items)
    return CorrectionNews(
        what=what or asked.reason or "见补正清单", until_on=clock.local(correction.deadline_at).date()
    )
