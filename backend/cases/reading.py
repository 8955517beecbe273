"""The two hot reads, status and list: one statement proves the login and finds the rows, for all who ask at the moment.

Whose rows they are is said by the session inside the statement, never by the caller; a token that has ended a moment ago
finds nothing. What comes back are the bytes of a CaseRow and of a CasesPage, made without any object in between.
"""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson

from backend.cases.states import CASE
from backend.identity import login
from backend.identity.login import Seen
from kernel import db
from kernel.loader import Loader
from kernel.problems import FieldError, Invalid

MAX_LIMIT = 100
_BEFORE_ALL = 2**62

# One list of columns for both statements, the covering index (migration 0002) and `_shown`.
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
_NAMED = ", ".join(f"c.{name}" for name in COLUMNS)
_SEEN = "k.place, w.role, w.session_id, w.stale"  # who asks, and the number of the key in the batch, from 1
_ABSENT = "没有找到这件申请，请核对办件编号"
_TEXTS = db.array("text")


def columns() -> str:
    """COLUMNS as both statements select them."""
    return ", ".join(db.moment(f"c.{name}") if name.endswith("_at") else f"c.{name}" for name in COLUMNS)


StatusKey = tuple[str, str]  # hash of the token, case number
PageKey = tuple[str, int, int]  # hash of the token, id to stay below, how many


def status(*, digest: str, case_no: str) -> "asyncio.Future[Seen | None]":
    """Hot path (a): where a case of the token's owner stands; None for a bad token, no body for a case of somebody else."""
    return _statuses.ask((digest, case_no))


def page(*, digest: str, cursor: str | None = None, limit: int = 20) -> "asyncio.Future[Seen | None]":
    """Hot path (b): the cases of the token's owner, newest first, by keyset; page N costs what page 1 costs.

    Raises Invalid for a broken cursor.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(errors=[FieldError("/limit", f"每页应为 1 到 {MAX_LIMIT} 条")])
    return _pages.ask((digest, _BEFORE_ALL if cursor is None else _decode(cursor), limit))


async def _fetch_statuses(keys: list[StatusKey]) -> dict[StatusKey, Seen]:
    sessions, parameters = login.live_sessions([key[0] for key in keys])
    if db.engine() == "postgres":
        asked = f"unnest({_TEXTS}, {_TEXTS}) WITH ORDINALITY"
        values: list[Any] = [[key[0] for key in keys], [key[1] for key in keys]]
    else:
        asked = f"(VALUES {', '.join(['(?, ?, ?)'] * len(keys))})"
        values = [value for place, key in enumerate(keys, 1) for value in (*key, place)]
    rows = await db.records(
        f"WITH k(access_hash, case_no, place) AS (SELECT * FROM {asked} AS asked) "
        f"SELECT {_SEEN}, {columns()} FROM k JOIN ({sessions}) w ON w.access_hash = k.access_hash "
        # Written so that no engine walks through all cases of a person to find the one.
        "LEFT JOIN cases_case c ON c.case_no = k.case_no AND c.account_ref || '' = w.account_ref",
        *values,
        *parameters,
    )
    return {
        keys[row[0] - 1]: _seen(row, orjson.dumps(_shown(row[4:]), option=_JSON) if row[4] else None) for row in rows
    }


async def _fetch_pages(keys: list[PageKey]) -> dict[PageKey, Seen]:
    """One more row than asked for is read: it tells whether another page follows."""
    sessions, parameters = login.live_sessions([key[0] for key in keys])
    if db.engine() == "postgres":
        rows = await db.records(
            f"WITH k(access_hash, below, most, place) AS (SELECT * FROM unnest({_TEXTS}, {db.array('bigint')}, "
            f"{db.array('int')}) WITH ORDINALITY) SELECT {_SEEN}, c.id, {columns()} "
            f"FROM k JOIN ({sessions}) w ON w.access_hash = k.access_hash LEFT JOIN LATERAL ("
            f"SELECT c.id, {_NAMED} FROM cases_case c WHERE c.account_ref = w.account_ref AND c.id < k.below "
            "ORDER BY c.id DESC LIMIT k.most + 1) c ON true ORDER BY c.id DESC",
            [key[0] for key in keys],
            [key[1] for key in keys],
            [key[2] for key in keys],
            *parameters,
        )
    else:
        rows = [row for place, key in enumerate(keys, 1) for row in await _one_page(place, key)]
    found: dict[int, list[Sequence[Any]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return {keys[place - 1]: _seen(own[0], _page(own, keys[place - 1][2])) for place, own in found.items()}


async def _one_page(place: int, key: PageKey) -> Sequence[Sequence[Any]]:
    digest, below, most = key
    sessions, parameters = login.live_sessions([digest])
    return await db.records(
        f"SELECT {_SEEN}, c.id, {columns()} FROM (SELECT ? AS place) k JOIN ({sessions}) w ON true LEFT JOIN cases_case c "
        "ON c.account_ref = w.account_ref AND c.id < ? ORDER BY c.id DESC LIMIT ?",
        place,
        *parameters,
        below,
        most + 1,
    )


_statuses: Loader[StatusKey, Seen] = Loader(_fetch_statuses)
_pages: Loader[PageKey, Seen] = Loader(_fetch_pages)

_JSON = orjson.OPT_OMIT_MICROSECONDS


def _seen(row: Sequence[Any], body: bytes | None) -> Seen:
    return Seen(row[1], row[2], bool(row[3]), body, _ABSENT)


def _page(rows: list[Sequence[Any]], limit: int) -> bytes:
    """The JSON of a CasesPage. A person without any case has one row all the same, with nothing in it."""
    shown = rows[:limit] if rows[0][4] is not None else []
    cursor = _encode(shown[-1][4]) if len(rows) > limit else None
    return orjson.dumps({"items": [_shown(row[5:]) for row in shown], "next_cursor": cursor}, option=_JSON)


def _shown(columns: Sequence[Any]) -> dict[str, Any]:
    """A CaseRow as orjson takes it, from the values of COLUMNS."""
    case_no, item_code, item_name, department_name, state, seq, submitted, changed, promise_on = columns
    label = CASE.label(state)
    return {
        "case_no": case_no,
        "item_code": item_code,
        "item_name": item_name,
        "department_name": department_name,
        "status": label.status,
        "status_label": label.label,
        "finished": label.finished,
        "version": seq,
        "submitted_at": db.shown(submitted),
        "changed_at": db.shown(changed),
        "promise_on": promise_on,
    }


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
