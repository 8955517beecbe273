"""Channel certificates shared by all processes, and the promise to fetch new ones: at most one per channel and minute."""

from kernel import clock, db, outbox
from payments.gateways.base import Certificate

REFRESH_TOPIC = "payments.refresh_keys"
_INTERVAL_MS = 60_000


class DatabaseStore:
    """The table behind `CertificateStore`."""

    async def load(self, channel: str) -> list[Certificate]:
        """Every stored certificate of the channel that has not ended."""
        rows = await db.fetch(
            "SELECT serial, pem, effective_at, expires_at FROM payments_platform_certificate "
            "WHERE channel = ? AND expires_at > ?",
            channel,
            db.at(clock.now()),
        )
        return [
            Certificate(
                serial=row["serial"],
                pem=row["pem"],
                effective_at=db.instant(row["effective_at"]) or clock.now(),
                expires_at=db.instant(row["expires_at"]) or clock.now(),
            )
            for row in rows
        ]

    async def save(self, channel: str, certificates: list[Certificate]) -> None:
        """Adds what is new and forgets what has ended."""
        now = db.at(clock.now())
        async with db.transaction():
            for one in certificates:
                await db.execute(
                    "INSERT INTO payments_platform_certificate (channel, serial, pem, effective_at, expires_at, created_at) "
                    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, serial) DO NOTHING",
                    channel, one.serial, one.pem, db.at(one.effective_at), db.at(one.expires_at), now,
                )  # fmt: skip
            await db.execute(
                "DELETE FROM payments_platform_certificate WHERE channel = ? AND expires_at <= ?", channel, now
            )


async def ask_for_refresh(channel: str, serial: str = "") -> None:
    """Promises one fetch for this minute; the outbox key makes it one over all processes."""
    async with db.transaction():
        await outbox.publish(
            REFRESH_TOPIC,
            key=f"{REFRESH_TOPIC}:{channel}:{clock.now_ms() // _INTERVAL_MS}",
            payload={"channel": channel, "serial": serial},
            lane=f"{REFRESH_TOPIC}:{channel}",
        )
