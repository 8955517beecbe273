"""Coming in and going out: WeChat login, refresh, logout, and the one read that turns a token into an Actor. The doors
with a password are in `field_login`.
"""

from datetime import timedelta
from typing import Any

import msgspec

from backend.identity import sessions
from backend.identity.actor import Actor, Role
from backend.identity.models import Account
from backend.identity.ports import runtime
from backend.identity.views import LoginAnswer
from kernel import clock, crypto, db, ids
from kernel.loader import Loader
from kernel.problems import Unauthenticated

_LONGEST_TOKEN = 128


class SessionEnded(Unauthenticated):
    """The refresh token is unknown, used, expired or revoked; one answer for all, so that nothing can be probed."""

    code, title = "session-ended", "登录已过期，请重新登录"


class CodeRefused(Unauthenticated):
    """WeChat does not accept the code: expired, used before, or of another mini-program. The phone asks for a new
    one.
    """

    code, title = "login-code-refused", "登录凭证已失效，请重新打开小程序再试"


async def login_wechat(*, code: str, device: str | None = None) -> LoginAnswer:
    """Exchanges the code of `wx.login` for our own tokens; the first login creates the account.

    The openid comes from WeChat only, never from the phone, and WeChat's session_key is not kept at all:
    phone numbers are fetched by code, so nothing of ours needs it. Raises the Problems of the WeChat port.
    """
    openid = await runtime().wechat.openid_for(code=code)
    index = crypto.blind_index(openid, purpose="identity_account.openid")
    async with db.transaction():
        account = await Account.get_or_none(openid_index=index) or await _create_account(openid, index)
        return await sessions.open_session(owner=account, device=device)


async def _create_account(openid: str, index: str) -> Account:
    ref = ids.public_id()
    # Two first logins at the same moment meet at the unique index: one row wins, both get a session on it.
    await db.execute(
        "INSERT INTO identity_account (ref, openid_index, openid_sealed, assurance_level, created_at) "
        "VALUES (?, ?, ?, 0, ?) ON CONFLICT (openid_index) DO NOTHING",
        ref,
        index,
        crypto.seal(openid, context=f"identity_account.openid:{ref}"),
        db.at(clock.now()),
    )
    return await Account.get(openid_index=index)


async def refresh(*, refresh_token: str, idempotency_key: str | None = None) -> LoginAnswer:
    """The next pair of tokens. The same call with the same key within 60 seconds gives the same answer; any other
    reuse ends the family.
    """
    answer = await sessions.rotate(refresh_token=refresh_token, idempotency_key=idempotency_key)
    if answer is None:
        raise SessionEnded
    return answer


async def logout(*, actor: Actor) -> None:
    """Ends the session the request came with, at once."""
    async with db.transaction():
        await sessions.end(session_id=actor.session_id, reason="logout")


async def logout_all(*, actor: Actor) -> int:
    """Ends every session of the person, on all devices; gives their number."""
    owner = {"account_id" if actor.role == "citizen" else "field_worker_id": actor.account_id}
    async with db.transaction():
        return await sessions.end_all(reason="logout_all", **owner)


_AUTHENTICATE = (
    "SELECT s.access_hash, s.id AS session_id, s.role, COALESCE(a.id, w.id) AS account_id, "
    "COALESCE(a.ref, w.ref) AS account_ref, COALESCE(a.assurance_level, 0) AS assurance_level, w.carrier, "
    "CASE WHEN s.last_used_at <= ? THEN 1 ELSE 0 END AS stale "
    "FROM identity_session s "
    "LEFT JOIN identity_account a ON a.id = s.account_id "
    "LEFT JOIN identity_field_worker w ON w.id = s.field_worker_id "
    "WHERE s.revoked_at IS NULL AND s.idle_until > ? AND s.absolute_until > ? AND w.disabled_at IS NULL AND s.access_hash "
)


def digest_of(token: str) -> str | None:
    """The form in which tokens are stored and looked up; None for what cannot be one of ours."""
    return crypto.token_hash(token) if token and len(token) <= _LONGEST_TOKEN and token.isascii() else None


async def authenticate(*, token: str) -> Actor | None:
    """Who holds this access token; None for every kind of bad token alike.

    Always what the database says now, so that an ended session is ended for the very next request; tokens that arrive in
    one turn of the loop are looked up together, by the unique index of their hashes.
    """
    digest = digest_of(token)
    found = await _sessions.load(digest) if digest else None
    if found is None:
        return None
    if found.stale:
        await touch(found.actor.session_id)
    return found.actor


class Seen(msgspec.Struct, frozen=True):
    """What one statement found for a token: its session, and the answer's JSON, or what to say when there is none for them."""

    role: Role
    session_id: int
    stale: bool
    body: bytes | None
    absent: str = ""


def live_sessions(digests: list[str]) -> tuple[str, tuple[Any, ...]]:
    """The good ones among these tokens, as SQL of a relation with its parameters.

    For a statement of another slice that reads for its caller: it needs access_hash and account_ref to find rows, and
    role, session_id and stale for `Seen`. Whoever is not in the relation is not logged in.
    """
    now = clock.now()
    moments = (db.at(now - timedelta(seconds=sessions.TOUCH_SECONDS)), db.at(now), db.at(now))
    return _AUTHENTICATE + db.any_of(digests, "text"), (*moments, *db.values_of(digests))


async def touch(session_id: int) -> None:
    """Moves the idle limit of a session that has not been used for a while."""
    await _touches.load(session_id)


class _Known(msgspec.Struct, frozen=True):
    actor: Actor
    stale: bool


async def _fetch_sessions(digests: list[str]) -> dict[str, _Known]:
    sql, parameters = live_sessions(digests)
    return {row["access_hash"]: _known(row) for row in await db.records(sql, *parameters)}


def _known(row: Any) -> _Known:
    actor = Actor(
        account_id=row["account_id"],
        account_ref=row["account_ref"],
        role=row["role"],
        session_id=row["session_id"],
        assurance_level=row["assurance_level"],
        carrier=row["carrier"],
    )
    return _Known(actor, bool(row["stale"]))


async def _touch_many(session_ids: list[int]) -> dict[int, None]:
    await sessions.touch(session_ids=session_ids)
    return {}


_sessions: Loader[str, _Known] = Loader(_fetch_sessions)
# One write at a time: what falls due meanwhile goes along with the next.
_touches: Loader[int, None] = Loader(_touch_many, in_flight=1)
