"""Reads of cases.

The two hot ones (status, list) are raw SQL with the owner in the WHERE, coalesced; the others go through the ORM.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from backend.cases.details import by_password, detail, package, timeline
from backend.cases.models import Case
from backend.cases.states import CASE
from backend.identity.actor import Actor
from kernel import clock, db
from kernel.loader import Loader
from kernel.problems import FieldError, Invalid, NotFound

__all__ = ["by_password", "detail", "owner", "package", "page", "status", "timeline"]

MAX_LIMIT = 100
_BEFORE_ALL = 2**62


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


# One list of columns for both statements, the covering index (migration 0002) and `_row`.
COLUMNS = (
    "case_no",
    "item_code",
    "item_name",
    "department_name",
    "state",
    "seq",
    "submitted_at",
    "changed_at",
    "promise_on",
)
_SELECT = ", ".join(f"c.{column}" for column in COLUMNS)

_TEXTS = db.array("text")

StatusKey = tuple[str, str]  # case number, owner
PageKey = tuple[str, int, int]  # owner, id to stay below, how many


async def status(*, actor: Actor, case_no: str) -> CaseRow:
    """Hot path (a): where the actor's own case stands. Raises NotFound, also for another person's case."""
    row = await _statuses.load((case_no, actor.account_ref))
    if row is None:
        raise NotFound("没有找到这件申请，请核对办件编号")
    return row


async def page(*, actor: Actor, cursor: str | None = None, limit: int = 20) -> CasesPage:
    """Hot path (b): the actor's cases, newest first, by keyset; page N costs what page 1 costs.

    Raises Invalid for a broken cursor.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(errors=[FieldError("/limit", f"每页应为 1 到 {MAX_LIMIT} 条")])
    below = _BEFORE_ALL if cursor is None else _decode(cursor)
    rows = await _pages.load((actor.account_ref, below, limit + 1)) or []
    shown = rows[:limit]
    more = len(rows) > limit
    return CasesPage(items=tuple(row for _, row in shown), next_cursor=_encode(shown[-1][0]) if more else None)


async def owner(case_no: str) -> str:
    """The public id of the account a case belongs to. Raises NotFound."""
    case = await Case.get_or_none(case_no=case_no).only("id", "account_ref")
    if case is None:
        raise NotFound("没有找到这件申请")
    return case.account_ref


async def _fetch_statuses(keys: list[StatusKey]) -> dict[StatusKey, CaseRow]:
    """The owner is part of the statement and of the key of the answer: one person's row cannot reach another."""
    if db.engine() == "postgres":
        rows = await db.records(
            f"SELECT {_SELECT}, c.account_ref FROM unnest({_TEXTS}, {_TEXTS}) AS k(case_no, account_ref) "
            "JOIN cases_case c ON c.case_no = k.case_no AND c.account_ref = k.account_ref",
            [key[0] for key in keys],
            [key[1] for key in keys],
        )
    else:
        pairs = ", ".join(["(?, ?)"] * len(keys))
        values = [value for key in keys for value in key]
        rows = await db.records(
            f"SELECT {_SELECT}, c.account_ref FROM cases_case c WHERE (c.case_no, c.account_ref) IN (VALUES {pairs})",
            *values,
        )
    return {(row[0], row[-1]): _row(row) for row in rows}


async def _fetch_pages(keys: list[PageKey]) -> dict[PageKey, list[tuple[int, CaseRow]]]:
    found: dict[PageKey, list[tuple[int, CaseRow]]] = {key: [] for key in keys}
    if db.engine() == "postgres":
        # `place` is the position of the key in the batch: what it asked for need not come back with every row.
        rows = await db.records(
            f"SELECT {_SELECT}, c.id, k.place FROM unnest({_TEXTS}, {db.array('bigint')}, {db.array('int')}) WITH ORDINALITY "
            "AS k(account_ref, below, most, place) CROSS JOIN LATERAL ("
            f"SELECT c.id, {_SELECT} FROM cases_case c WHERE c.account_ref = k.account_ref AND c.id < k.below "
            "ORDER BY c.id DESC LIMIT k.most) c ORDER BY c.id DESC",
            [key[0] for key in keys],
            [key[1] for key in keys],
            [key[2] for key in keys],
        )
        lists = [found[key] for key in keys]
        for row in rows:
            lists[row[-1] - 1].append((row[-2], _row(row)))
        return found
    for key in keys:
        rows = await db.records(
            f"SELECT {_SELECT}, c.id FROM cases_case c WHERE c.account_ref = ? AND c.id < ? ORDER BY c.id DESC LIMIT ?",
            *key,
        )
        found[key] = [(row[-1], _row(row)) for row in rows]
    return found


_statuses: Loader[StatusKey, CaseRow] = Loader(_fetch_statuses)
_pages: Loader[PageKey, list[tuple[int, CaseRow]]] = Loader(_fetch_pages)


def _row(row: Sequence[Any]) -> CaseRow:
    """A row whose first columns are COLUMNS, in their order."""
    case_no, item_code, item_name, department_name, state, seq, submitted, changed, promise_on, *_ = row
    label = CASE.label(state)
    submitted_at, changed_at = db.instant(submitted), db.instant(changed)
    return CaseRow(
        case_no=case_no,
        item_code=item_code,
        item_name=item_name,
        department_name=department_name,
        status=label.status,
        status_label=label.label,
        finished=label.finished,
        version=seq,
        submitted_at=clock.local(submitted_at) if submitted_at else None,
        changed_at=clock.local(changed_at or clock.now()),
        promise_on=date.fromisoformat(promise_on) if isinstance(promise_on, str) else promise_on,
    )


def _encode(row_id: int) -> str:
    return base64.urlsafe_b64encode(row_id.to_bytes(8, "big")).decode().rstrip("=")


def _decode(cursor: str) -> int:
    try:
        raw = base64.b64decode(cursor + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 8:
        raise Invalid(errors=[FieldError("/cursor", "翻页标记已失效，请从第一页重新开始")])
    return int.from_bytes(raw, "big") & (_BEFORE_ALL - 1)
