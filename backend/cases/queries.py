"""Reads of cases, and the shapes of the two hot ones, whose statements are in `reading`."""

from datetime import date, datetime

import msgspec

from backend.cases.details import by_password, detail, package, timeline
from backend.cases.models import Case
from kernel.problems import NotFound

__all__ = ["by_password", "detail", "owner", "package", "timeline"]


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A case in a list and in a status answer. `version` grows with every event: the ETag of a status read."""

    case_no: str
    item_code: str
    item_name: str
    department_name: str
    status: str
    status_label: str
    finished: bool
    version: int
    submitted_at: datetime | None
    changed_at: datetime
    promise_on: date | None


class CasesPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a person's cases, newest first; `next_cursor` is None on the last."""

    items: tuple[CaseRow, ...]
    next_cursor: str | None


async def owner(case_no: str) -> str:
    """The public id of the account a case belongs to. Raises NotFound."""
    case = await Case.get_or_none(case_no=case_no).only("id", "account_ref")
    if case is None:
        raise NotFound("没有找到这件申请")
    return case.account_ref
