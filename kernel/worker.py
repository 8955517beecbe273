"""The loop that works the outbox: claims, runs handlers under a lease with a heartbeat, fans events out, and drains on shutdown."""

import asyncio
import contextvars
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from kernel import clock, db, jobs, logs, metrics, outbox
from kernel.outbox import Delivery, Topic
from kernel.problems import DatabaseUnavailable

_log = structlog.get_logger("worker")
_handled = metrics.counter("outbox_handled_total", "Outbox rows by topic and outcome", "topic", "outcome")
_seconds = metrics.histogram(
    "outbox_handler_seconds", "Time a handler took", "topic", buckets=(0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 30)
)

IDLE_SECONDS, BUSY_SECONDS, SUSPECT_SECONDS = 0.3, 0.05, 0.5


class Worker:
    """Works the rows of its topics until `stop()` is called. Any number of workers may share one database."""

    def __init__(
        self,
        *,
        topics: Iterable[Topic],
        subscriptions: Mapping[str, Iterable[str]],
        recurring: tuple[jobs.Job, ...] = (),
        lease_seconds: float = 30,
        capacity: int = 16,
    ) -> None:
        self._topics: dict[str, Topic] = {}
        for topic in (*topics, *jobs.topics(recurring), *(_fan_out(e, s) for e, s in subscriptions.items())):
            if topic.name in self._topics:
                raise ValueError(f"two handlers for topic {topic.name}")
            self._topics[topic.name] = topic
        self._jobs, self._capacity = recurring, capacity
        self._lease_ms = int(lease_seconds * 1000)
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._stopping = asyncio.Event()
        self._alone = False

    async def run(self) -> None:
        """Runs until stopped. A database outage is waited out; the loop itself never ends by an exception."""
        next_suspect = next_plant = 0.0
        while not self._stopping.is_set():
            try:
                if self._jobs and clock.monotonic() >= next_plant:
                    await jobs.plant(self._jobs)
                    next_plant = clock.monotonic() + 1
                if clock.monotonic() >= next_suspect:
                    next_suspect = clock.monotonic() + SUSPECT_SECONDS
                    await self._take_suspect()
                claimed = await self._claim()
            except Exception as error:
                level = _log.warning if _is_outage(error) else _log.error
                level("outbox poll failed", exc_info=error)
                # No heartbeat came through either: every holder first gets a lease's time to say that it is alive.
                next_suspect = clock.monotonic() + self._lease_ms / 1000
                claimed = 0
            if not claimed:
                await self._pause(BUSY_SECONDS if self._running else IDLE_SECONDS)

    def stop(self) -> None:
        """No more claims; `drain` then waits for what is in flight."""
        self._stopping.set()

    async def drain(self, grace_seconds: float = 20) -> None:
        """Lets running handlers end, then cancels them; a cancelled row is given back at once."""
        if self._running:
            await asyncio.wait(list(self._running), timeout=grace_seconds)
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=5)

    async def run_until_idle(self, *, limit_seconds: float = 30) -> None:
        """Works everything that is due and returns (tests and one-shot commands). Raises TimeoutError when it does not end."""
        deadline = clock.monotonic() + limit_seconds
        loop = asyncio.get_running_loop()
        end = loop.time() + limit_seconds
        while True:
            await self._take_suspect()
            was_busy = bool(self._running)  # while the claim was under way a full topic may have made room
            if not await self._claim():
                if self._running:
                    await asyncio.wait(list(self._running), return_when=asyncio.FIRST_COMPLETED)
                elif not was_busy:
                    return
            if loop.time() > end or clock.monotonic() > deadline + limit_seconds:
                raise TimeoutError("the outbox does not come to rest")

    async def _pause(self, seconds: float) -> None:
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([stopped, *self._running], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    async def _claim(self) -> int:
        free = self._capacity - len(self._running)
        if free <= 0 or self._alone:
            return 0
        busy = Counter(d.topic for d in self._running.values())
        room = {name: self._topics[name].concurrency - n for name, n in busy.items() if name in self._topics}
        full = tuple(name for name, left in room.items() if left <= 0)
        # Where a topic is nearly full, small claims: what one brings too much must be handed back.
        limit = min([free, *(left for left in room.values() if left > 0)])
        claimed = await outbox.claim(limit, lease_ms=self._lease_ms, exclude=full)
        surplus = []
        for delivery in claimed:
            topic = self._topics.get(delivery.topic)
            busy[delivery.topic] += 1
            if topic is not None and busy[topic.name] > topic.concurrency:
                surplus.append(delivery)
            else:
                self._start(delivery)
        await outbox.hand_back(surplus)
        return len(claimed)

    async def _take_suspect(self) -> None:
        """One row whose holder vanished: dead after MAX_CRASHES of them, otherwise run when nothing else is in flight."""
        if self._alone or self._stopping.is_set():
            return
        suspect = await outbox.claim_suspect(lease_ms=self._lease_ms, longest_lease_ms=self._lease_ms)
        if suspect is None:
            return
        if suspect.crashes >= outbox.MAX_CRASHES:
            await outbox.bury(suspect, f"the process died {suspect.crashes} times while working on this")
            _handled.labels(suspect.topic, "dead").inc()
            return
        self._alone = True
        self._start(suspect, alone=True)

    def _start(self, delivery: Delivery, *, alone: bool = False) -> None:
        # A clean context: nothing of another row's transaction or log binding may leak into this one.
        task = asyncio.get_running_loop().create_task(self._work(delivery, alone), context=contextvars.Context())
        self._running[task] = delivery
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            _log.error("outbox row left to its lease", exc_info=task.exception())

    async def _work(self, delivery: Delivery, alone: bool) -> None:
        logs.begin_unit(key=delivery.key, topic=delivery.topic)
        beat = asyncio.ensure_future(self._heartbeat(delivery, asyncio.current_task()))
        try:
            if alone:
                others = [t for t in self._running if t is not asyncio.current_task()]
                if others:
                    await asyncio.wait(others)
            await self._handle(delivery)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.ensure_future(outbox.release(delivery)))
            raise  # only a cancellation of this very task arrives here, see _run
        finally:
            beat.cancel()
            if alone:
                self._alone = False

    async def _handle(self, delivery: Delivery) -> None:
        topic = self._topics.get(delivery.topic)
        if topic is None:
            await outbox.bury(delivery, "no handler for this topic")
            _log.error("no handler for topic")
            return
        outcome = "done"
        try:
            with _seconds.labels(topic.name).time():
                async with asyncio.timeout(topic.timeout_seconds):
                    await _run(topic, delivery)
                await _written(lambda: self._finish(delivery))
        except outbox.Permanent as error:
            outcome, reason = "dead", logs.clean(str(error))
            await _written(lambda: outbox.bury(delivery, reason))
            _log.error("outbox row is dead", reason=logs.clean(str(error)))
        except outbox.RetryLater as error:
            outcome, reason, seconds = "later", logs.clean(str(error)), error.seconds
            await _written(lambda: outbox.fail(delivery, topic, reason, after_seconds=seconds))
        except outbox.LeaseLost:
            outcome = "lease lost"
            _log.warning("lease lost")
        except Exception as error:
            outcome = "failed"
            text = logs.clean(f"{type(error).__name__}: {error}")
            await _written(lambda: outbox.fail(delivery, topic, text))
            if _is_outage(error):
                _log.warning("outbox row will be tried again", error=text, attempts=delivery.attempts)
            else:
                _log.error("outbox row failed", error=text, attempts=delivery.attempts, exc_info=error)
        _handled.labels(topic.name, outcome).inc()

    async def _finish(self, delivery: Delivery) -> None:
        """Finishes unless the handler did so itself inside its own transaction."""
        still_held = await db.execute(
            "UPDATE kernel_outbox SET state = 1, lease = NULL, done_ms = ?, error = NULL "
            "WHERE id = ? AND lease = ? AND state = 0",
            clock.now_ms(),
            delivery.id,
            delivery.lease,
        )
        if still_held:
            return
        rows = await db.fetch("SELECT state FROM kernel_outbox WHERE id = ?", delivery.id)
        if rows and rows[0]["state"] == outbox.READY:
            raise outbox.LeaseLost(delivery.key)

    async def _heartbeat(self, delivery: Delivery, work: "asyncio.Task[None] | None") -> None:
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            try:
                if await outbox.extend(delivery, lease_ms=self._lease_ms):
                    continue
                rows = await db.fetch("SELECT state FROM kernel_outbox WHERE id = ?", delivery.id)
            except Exception as error:
                _log.warning("heartbeat failed", error=type(error).__name__)
                continue
            if rows and rows[0]["state"] == outbox.READY and work is not None:
                work.cancel()
            return


class CancelledInside(Exception):
    """Something the handler waited for was cancelled, not the handler: a failure like any other."""


async def _run(topic: Topic, delivery: Delivery) -> None:
    try:
        await topic.handler(delivery)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise CancelledInside from error


async def _written(write: Callable[[], Awaitable[object]]) -> None:
    """Writes an outcome and waits out an outage: a row left to its lease would count as a crash of this process."""
    while True:
        try:
            await write()
        except Exception as error:
            if not _is_outage(error):
                raise
            _log.warning("an outcome waits for the database", error=type(error).__name__)
            await asyncio.sleep(IDLE_SECONDS)
        else:
            return


def _is_outage(error: Exception) -> bool:
    return isinstance(error, DatabaseUnavailable) or db.is_outage(error)


def _fan_out(event: str, subscribers: Iterable[str]) -> Topic:
    """News travels up: one row per subscriber, written together with the end of the event's own row."""
    names = tuple(subscribers)

    async def handle(delivery: Delivery) -> None:
        async with db.transaction():
            for name in names:
                lane = f"{name.split('.', 1)[0]}:{delivery.lane}" if delivery.lane else None
                await outbox.publish(name, key=f"{name}|{delivery.key}", payload=delivery.payload, lane=lane)
            await delivery.finish()

    return Topic(name=event, handler=handle, max_age_hours=24 * 30)
