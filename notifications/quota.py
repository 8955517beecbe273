"""The ledger of WeChat permissions per (address, template): granted, reserved, consumed. Every function joins the caller's transaction."""

from dataclasses import dataclass

from kernel import clock, db

ONE_TIME, LONG_TERM = "one_time", "long_term"


@dataclass(frozen=True)
class Standing:
    """What may still be sent to an address under a template. `available` counts nothing for a long-term template."""

    available: int
    accepted: bool
    blocked: bool


async def reserve(*, address_index: str, template_id: str, term: str) -> bool | None:
    """Takes one permission: True = reserved, False = none needed (long term), None = there is none."""
    if term == LONG_TERM:
        standing = await of(address_index=address_index, template_id=template_id)
        return False if standing.accepted and not standing.blocked else None
    taken = await db.execute(
        "UPDATE notifications_quota SET reserved = reserved + 1 WHERE address_index = ? AND template_id = ? "
        "AND blocked = ? AND granted - reserved - consumed >= 1",
        address_index,
        template_id,
        False,
    )
    return True if taken else None


async def consume(*, address_index: str, template_id: str) -> None:
    """The reserved permission was used."""
    await db.execute(
        "UPDATE notifications_quota SET reserved = reserved - 1, consumed = consumed + 1 "
        "WHERE address_index = ? AND template_id = ? AND reserved >= 1",
        address_index,
        template_id,
    )


async def release(*, address_index: str, template_id: str) -> None:
    """The reserved permission was not used and may be taken again."""
    await db.execute(
        "UPDATE notifications_quota SET reserved = reserved - 1 "
        "WHERE address_index = ? AND template_id = ? AND reserved >= 1",
        address_index,
        template_id,
    )


async def exhaust(*, address_index: str, template_id: str) -> None:
    """WeChat says there is nothing left (43101): what it knows wins over what we counted."""
    await db.execute(
        "UPDATE notifications_quota SET granted = consumed + reserved, accepted = ?, last_event_at = ? "
        "WHERE address_index = ? AND template_id = ?",
        False,
        db.at(clock.now()),
        address_index,
        template_id,
    )


async def accept(*, address_index: str, template_id: str, tapped_at_s: int) -> bool:
    """One accepted tap grants one message. False when this tap is already in the books."""
    new = await db.fetch(
        "INSERT INTO notifications_tap (address_index, template_id, tapped_at_s, created_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (address_index, template_id, tapped_at_s) DO NOTHING RETURNING id",
        address_index,
        template_id,
        tapped_at_s,
        db.at(clock.now()),
    )
    if not new:
        return False
    await _row(address_index, template_id)
    await db.execute(
        "UPDATE notifications_quota SET granted = granted + 1, blocked = ?, accepted = ?, last_event_at = ? "
        "WHERE address_index = ? AND template_id = ?",
        False,
        True,
        db.at(clock.now()),
        address_index,
        template_id,
    )
    return True


async def reject(*, address_index: str, template_id: str) -> None:
    """The person switched these messages off: nothing is left until the next accepted tap."""
    await _row(address_index, template_id)
    await db.execute(
        "UPDATE notifications_quota SET granted = consumed + reserved, blocked = ?, accepted = ?, last_event_at = ? "
        "WHERE address_index = ? AND template_id = ?",
        True,
        False,
        db.at(clock.now()),
        address_index,
        template_id,
    )


async def of(*, address_index: str, template_id: str) -> Standing:
    """The present standing; nothing granted for an address we have never heard of."""
    rows = await db.fetch(
        "SELECT granted, reserved, consumed, blocked, accepted FROM notifications_quota "
        "WHERE address_index = ? AND template_id = ?",
        address_index,
        template_id,
    )
    if not rows:
        return Standing(0, False, False)
    row = rows[0]
    left = max(0, row["granted"] - row["reserved"] - row["consumed"])
    return Standing(0 if row["blocked"] else left, bool(row["accepted"]), bool(row["blocked"]))


async def _row(address_index: str, template_id: str) -> None:
    await db.execute(
        "INSERT INTO notifications_quota (address_index, template_id, granted, reserved, consumed, blocked, accepted, "
        "last_event_at, created_at) VALUES (?, ?, 0, 0, 0, ?, ?, ?, ?) "
        "ON CONFLICT (address_index, template_id) DO NOTHING",
        address_index,
        template_id,
        False,
        False,
        db.at(clock.now()),
        db.at(clock.now()),
    )
