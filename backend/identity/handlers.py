"""The identity slice's recurring work: forgetting what need not be kept. It reacts to no event."""

from backend.identity import attempts, sessions
from kernel.jobs import Job
from kernel.outbox import Topic


async def sweep() -> None:
    """Removes sealed refresh answers after their minute, dead sessions and old counters after a week."""
    await sessions.sweep()
    await attempts.sweep()


TOPICS: tuple[Topic, ...] = ()
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {}
JOBS: tuple[Job, ...] = (Job(name="identity.sweep", every_seconds=60, run=sweep, timeout_seconds=30),)
