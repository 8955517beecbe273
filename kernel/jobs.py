"""Recurring work: a timer is an outbox row per slot, so that any number of workers run each slot once and none needs a leader."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kernel import clock, db, outbox


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something to run every `every_seconds`, at most `timeout_seconds` long; `run` must be safe to repeat."""

    name: str
    every_seconds: int
    run: Callable[[], Awaitable[None]]
    timeout_seconds: float = 60

    @property
    def topic(self) -> str:
        """The outbox topic of this job's ticks."""
        return f"job.{self.name}"


async def plant(jobs: tuple[Job, ...]) -> None:
    """Writes the present slot of every job that is not there yet. A missed slot is not made up for: the next one does the work."""
    now = clock.now_ms()
    async with db.transaction():
        for job in jobs:
            slot = now // (job.every_seconds * 1000)
            await outbox.publish(job.topic, key=f"tick:{job.name}:{slot}", payload={}, lane=f"job:{job.name}")


def topics(jobs: tuple[Job, ...]) -> tuple[outbox.Topic, ...]:
    """The topics that run the jobs' ticks; a tick that fails is left to the next slot."""

    def handler(job: Job) -> outbox.Handler:
        async def tick(delivery: outbox.Delivery) -> None:
            await job.run()

        return tick

    return tuple(
        outbox.Topic(
            name=job.topic,
            handler=handler(job),
            timeout_seconds=job.timeout_seconds,
            max_age_hours=max(job.every_seconds, 60) / 3600,
            concurrency=1,
            has_successor=True,
        )
        for job in jobs
    )
