"""The floor's own recurring work: bounded sweeps of done promises, old answers and old nonces."""

from kernel import clock, idempotency, inbox, outbox
from kernel.jobs import Job

_DONE_KEPT_DAYS = 14
_NONCES_KEPT_MINUTES = 20
_BATCHES = 20
_DAY_MS = 86_400_000


async def sweep() -> None:
    """Deletes in small batches until nothing is left or the slot's share is done."""
    now = clock.now_ms()
    for _ in range(_BATCHES):
        done = await outbox.sweep(older_than_ms=now - _DONE_KEPT_DAYS * _DAY_MS)
        answers = await idempotency.sweep()
        nonces = await inbox.sweep_nonces(older_than_ms=now - _NONCES_KEPT_MINUTES * 60_000)
        if done + answers + nonces == 0:
            return


TOPICS: tuple[outbox.Topic, ...] = ()
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {}
JOBS: tuple[Job, ...] = (Job(name="kernel.sweep", every_seconds=300, run=sweep, timeout_seconds=60),)
