"""What a world owns instead of the machine: one clock for everybody in it, and every random draw taken from its seed."""

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from kernel import clock

BEGINS = datetime(2026, 12, 1, 1, 30, tzinfo=UTC)  # half past nine in the morning in Beijing


class WorldClock:
    """The time of our processes, of the partners and of the payers; it passes only when the world lets it pass."""

    def __init__(self) -> None:
        self._passed = timedelta()

    def now(self) -> datetime:
        return BEGINS + self._passed

    def monotonic(self) -> float:
        return 1000.0 + self._passed.total_seconds()

    def unix(self) -> float:
        return self.now().timestamp()

    def advance(self, seconds: float) -> None:
        self._passed += timedelta(seconds=seconds)


@contextmanager
def ruled_by(seed: str) -> Iterator[WorldClock]:
    """Inside the block time is the world's, and numbers, nonces and jitter follow from the seed."""
    ours, draws = WorldClock(), random.Random(f"numbers:{seed}")
    stand_ins = {
        "randbits": draws.getrandbits,
        "randbelow": draws.randrange,
        "choice": draws.choice,
        "token_bytes": lambda n=32: draws.randbytes(n or 32),
        "token_hex": lambda n=32: draws.randbytes(n or 32).hex(),
        "token_urlsafe": lambda n=32: draws.randbytes(n or 32).hex(),
    }
    kept = {name: getattr(secrets, name) for name in stand_ins}
    machine, state = time.time, random.getstate()
    for name, stand_in in stand_ins.items():
        setattr(secrets, name, stand_in)
    time.time = ours.unix
    random.seed(seed)
    clock.set_clock(ours)
    try:
        yield ours
    finally:
        clock.set_clock(None)
        time.time = machine
        random.setstate(state)
        for name, function in kept.items():
            setattr(secrets, name, function)
