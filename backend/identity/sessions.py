"""Tokens and their families: issuing, rotating, repeating a lost answer, ending. Knows nothing of how a person
proved who they are.
"""

from datetime import datetime, timedelta

import msgspec

from backend.identity.models import Account, FieldWorker, RefreshReplay, Session
from backend.identity.ports import runtime
from backend.identity.views import LoginAnswer, agent_me_of, courier_me_of, me_of
from kernel import clock, crypto, db

# A phone that lost the answer may repeat the refresh for this long with the same key (a lost answer must not log a
# person out).
REPEAT_SECONDS = 60
_LONGEST_TOKEN = 128


async def open_session(*, owner: Account | FieldWorker, device: str | None) -> LoginAnswer:
    """A new family for a person who has just proved who they are. Joins the caller's transaction."""
    settings = runtime().settings
    citizen = isinstance(owner, Account)
    life = timedelta(days=settings.session_days) if citizen else timedelta(hours=settings.field_session_hours)
    now = clock.now()
    access, refresh = crypto.new_token(), crypto.new_token()
    session = Session(
        account_id=owner.id if citizen else None,
        field_worker_id=None if citizen else owner.id,
        role="citizen" if isinstance(owner, Account) else owner.role,
        access_hash=crypto.token_hash(access),
        refresh_hash=crypto.token_hash(refresh),
        idle_until=_idle_end(now, now + life),
        absolute_until=now + life,
        last_used_at=now,
        device=(device or "")[:120] or None,
    )
    await session.save()
    return _answer(access, refresh, session, owner)


async def rotate(*, refresh_token: str, idempotency_key: str | None) -> LoginAnswer | None:
    """The next pair of tokens; None when the family is dead or dies now because a used token came back.

    One transaction that commits in every case: a discovered reuse must stay recorded although the caller is refused.
    """
    if not _plausible(refresh_token):
        return None
    digest = crypto.token_hash(refresh_token)
    key_hash = crypto.token_hash(idempotency_key) if idempotency_key else None
    async with db.transaction():
        session = await db.lock(Session, refresh_hash=digest)
        if session is None:
            return await _repeat(digest, key_hash)
        owner = await _live_owner(session)
        if owner is None:
            return None
        access, refresh = crypto.new_token(), crypto.new_token()
        now = clock.now()
        session.access_hash, session.refresh_hash = crypto.token_hash(access), crypto.token_hash(refresh)
        session.idle_until, session.last_used_at = _idle_end(now, session.absolute_until), now
        await session.save(update_fields=["access_hash", "refresh_hash", "idle_until", "last_used_at"])
        answer = _answer(access, refresh, session, owner)
        await RefreshReplay.create(
            session_id=session.id,
            refresh_hash=digest,
            key_hash=key_hash,
            answer_sealed=crypto.seal(msgspec.json.encode(answer), context=_context(digest)) if key_hash else None,
            answer_until=now + timedelta(seconds=REPEAT_SECONDS),
        )
        return answer


async def _repeat(digest: str, key_hash: str | None) -> LoginAnswer | None:
    """A refresh token that is not current: the same request again, a thief, or nonsense."""
    used = await RefreshReplay.get_or_none(refresh_hash=digest)
    if used is None:
        return None
    session = await db.lock(Session, id=used.session_id)
    if session is None or await _live_owner(session) is None:
        return None
    same_request = key_hash is not None and used.key_hash is not None and crypto.constant_equal(key_hash, used.key_hash)
    if same_request and used.answer_sealed and clock.now() < used.answer_until:
        return msgspec.json.decode(crypto.unseal(used.answer_sealed, context=_context(digest)), type=LoginAnswer)
    # Two holders of one token: we cannot tell the thief from the owner, so both must log in again.
    await end(session_id=session.id, reason="refresh_reused")
    return None


async def end(*, session_id: int, reason: str) -> None:
    """Ends one family at once and forgets its repeatable answers."""
    await db.execute(
        "UPDATE identity_session SET revoked_at = ?, revoked_reason = ? WHERE id = ? AND revoked_at IS NULL",
        db.at(clock.now()),
        reason,
        session_id,
    )
    await db.execute("UPDATE identity_refresh_replay SET answer_sealed = NULL WHERE session_id = ?", session_id)


async def end_all(*, account_id: int | None = None, field_worker_id: int | None = None, reason: str) -> int:
    """Ends every family of one account or field worker; gives their number."""
    query = Session.filter(revoked_at=None, **_owner_filter(account_id, field_worker_id))
    ids = [session.id for session in await query.only("id")]
    for session_id in ids:
        await end(session_id=session_id, reason=reason)
    return len(ids)


async def touch(*, session_ids: list[int]) -> None:
    """Moves the idle limit; the WHERE clause keeps it to one write a minute however many requests come at once.

    Rows that somebody else holds are being touched or ended by them, and two processes must not wait for each other.
    """
    now = clock.now()
    idle = now + timedelta(minutes=runtime().settings.access_idle_minutes)
    skip = "FOR NO KEY UPDATE SKIP LOCKED" if db.engine() == "postgres" else ""
    await db.execute(
        "UPDATE identity_session SET last_used_at = ?, "
        "idle_until = CASE WHEN absolute_until < ? THEN absolute_until ELSE ? END WHERE id IN (SELECT id FROM "
        f"identity_session WHERE revoked_at IS NULL AND last_used_at <= ? AND id {db.any_of(session_ids, 'bigint')} {skip})",
        db.at(now),
        db.at(idle),
        db.at(idle),
        db.at(now - timedelta(seconds=TOUCH_SECONDS)),
        *db.values_of(session_ids),
    )


TOUCH_SECONDS = 60


async def sweep() -> None:
    """Forgets sealed answers after their minute and families a week after their end."""
    now = clock.now()
    await db.execute(
        "UPDATE identity_refresh_replay SET answer_sealed = NULL WHERE answer_sealed IS NOT NULL AND answer_until < ?",
        db.at(now),
    )
    old = db.at(now - timedelta(days=7))
    await db.execute(
        "DELETE FROM identity_refresh_replay WHERE session_id IN "
        "(SELECT id FROM identity_session WHERE absolute_until < ?)",
        old,
    )
    await db.execute("DELETE FROM identity_session WHERE absolute_until < ?", old)


def _plausible(token: str) -> bool:
    return 0 < len(token) <= _LONGEST_TOKEN and token.isascii()


def _owner_filter(account_id: int | None, field_worker_id: int | None) -> dict[str, int | None]:
    if (account_id is None) == (field_worker_id is None):
        raise ValueError("exactly one owner")
    return {"account_id": account_id} if field_worker_id is None else {"field_worker_id": field_worker_id}


async def _live_owner(session: Session) -> Account | FieldWorker | None:
    if session.revoked_at is not None or session.absolute_until <= clock.now():
        return None
    if session.account_id is not None:
        return await Account.get_or_none(id=session.account_id)
    return await FieldWorker.get_or_none(id=session.field_worker_id, disabled_at=None)


def _idle_end(now: datetime, absolute_until: datetime) -> datetime:
    return min(now + timedelta(minutes=runtime().settings.access_idle_minutes), absolute_until)


def _context(digest: str) -> str:
    return f"identity_refresh_replay.answer:{digest}"


def _answer(access: str, refresh: str, session: Session, owner: Account | FieldWorker) -> LoginAnswer:
    worker = owner if isinstance(owner, FieldWorker) else None
    return LoginAnswer(
        access_token=access,
        refresh_token=refresh,
        expires_in=int((session.idle_until - clock.now()).total_seconds()),
        citizen=me_of(owner) if isinstance(owner, Account) else None,
        courier=courier_me_of(worker) if worker and worker.role == "courier" else None,
        agent=agent_me_of(worker) if worker and worker.role == "agent" else None,
    )
