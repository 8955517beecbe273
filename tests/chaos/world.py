"""A world: one seed, one empty database, the partners' sandboxes and our process, all in this process and without real time."""

import hashlib
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import payments
from backend.wiring import APPS
from kernel import clock, db, http
from kernel.config import load_one
from kernel.outbox import Delivery, Topic
from kernel.settings import DatabaseSettings
from kernel.worker import Worker
from payments import checkout, handlers, janitor, refund_janitor, runtime
from payments.settings import AlipaySettings, PaymentSettings, WeChatPaySettings
from sandbox import alipay, wechat_pay
from sandbox.partner import Partner, Run
from sandbox.store import Database
from tests.chaos import chance, lives
from tests.chaos.wire import Network
from tests.sandbox import alipay_caller, wechat_pay_caller

UNIT, FEE, PRICE_FEN = "11620981MB0001001X", "YDZ-BB", 1000
OPENID, BUYER = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", alipay_caller.OPEN_ID
WAYS = {"wechat_jsapi": OPENID, "alipay_mini": BUYER, "alipay_wap": None}
SLICES = {name: APPS[name] for name in ("kernel", "payments")}
# Everything payments tells others: one listener stands for all of them and must hear each piece of news once.
NEWS = ("bill.paid", "bill.refund_due", "refund.succeeded", "refund.failed", "refund.denied")
PORTS = {"wechat_pay": 18903, "alipay": 18906}
_MEMORY = ("document", "history", "counter", "request", "callback")


class Partners:
    """The sandboxes of a campaign: keys are made once, everything they remember is forgotten between worlds."""

    def __init__(self, folder: Path, *, file: Path = Path(":memory:")) -> None:
        self.database = Database(file)
        self.all: dict[str, Partner] = {}
        self._plain: dict[str, dict[str, Any]] = {}
        for module, keys in ((wechat_pay, wechat_pay_caller.spare_keys), (alipay, alipay_caller.spare_keys)):
            name = module.__name__.rsplit(".", 1)[1]
            if not (folder / "keys" / name).exists():
                shutil.copytree(keys(), folder / "keys" / name)
            partner = module.build(Run(folder=folder, database=self.database, base_port=0))
            partner.port = PORTS[name]
            self.all[name], self._plain[name] = partner, dict(partner.config)
            self._take = {one.name: one.faults.take for one in self.all.values()}

    def forget(self) -> None:
        """As new."""
        for table in _MEMORY:
            self.database.connection.execute(f"DELETE FROM {table}")
        self.database.connection.execute("DELETE FROM sqlite_sequence")
        for name, partner in self.all.items():
            partner.config.clear()
            partner.config.update(self._plain[name])
            partner.faults._recent.clear()
            partner.faults.take = self._take[name]  # type: ignore[method-assign]
            partner.clock_offset_s = 0.0
            partner.seed()


@dataclass
class World:
    """What a story and its audit work with."""

    seed: int
    draws: Random
    clock: chance.WorldClock
    lives: lives.Lives
    network: Network
    partners: dict[str, Partner]
    log: list[str]
    told: dict[str, int]
    issued: "itertools.count[int]"
    outcome: dict[str, int] = field(default_factory=dict)
    heard_in: Path | None = None  # where a process that will be killed writes down what was told

    def say(self, text: str) -> None:
        """One line of the world's history, for whoever replays it."""
        passed = (self.clock.now() - chance.BEGINS).total_seconds()
        self.log.append(f"{passed:12.3f} {text}")

    def digest(self) -> str:
        """A short name of everything that happened: the same seed must always give the same."""
        facts = repr(
            (
                self.log,
                self.lives.kills,
                self.lives.steps,
                sorted(self.network.hits.items()),
                sorted(self.outcome.items()),
            )
        )
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    async def worker(self) -> None:
        """The worker of our process works what is due."""
        listeners = {event: (f"told.{event}",) for event in NEWS}
        topics = (*handlers.TOPICS, *(Topic(name=f"told.{event}", handler=self._hear) for event in NEWS))
        capacity = 1 if db.engine() == "postgres" and self.lives.shuffle is None else 16
        await Worker(topics=topics, subscriptions=listeners, capacity=capacity).run_until_idle()

    async def _hear(self, delivery: Delivery) -> None:
        self.told[delivery.key] = self.told.get(delivery.key, 0) + 1
        if self.heard_in is not None:
            with self.heard_in.open("a") as file:
                file.write(f"{delivery.key}\n")

    async def timers(self) -> None:
        """The timers of payments, once each."""
        await janitor.check_attempts()
        await refund_janitor.check_refunds()
        await janitor.expire_bills()

    async def issue(self, *, hours: float, late_policy: str) -> str:
        number = next(self.issued)
        async with db.transaction():
            return await payments.issue_bill(
                subject=f"case:{number}", owner_ref=f"owner-{number}", unit_code=UNIT, kind="administrative",
                lines=[payments.Line(fee_code=FEE, name="工本费", quantity=1, price_fen=PRICE_FEN)],
                expires_at=clock.now() + timedelta(hours=hours), dedupe_key=f"fee:{number}", late_policy=late_policy,
            )  # fmt: skip


def configure(partners: dict[str, Partner]) -> None:
    """What every new process of ours does first."""
    payments.configure(
        PaymentSettings(),
        load_one(WeChatPaySettings, partners["wechat_pay"].environment()),
        load_one(AlipaySettings, partners["alipay"].environment()),
    )


@asynccontextmanager
async def opened(
    seed: int,
    settings: DatabaseSettings,
    partners: Partners,
    folder: Path,
    *,
    since: float | None = None,
    life: int = 0,
) -> AsyncIterator[World]:
    """The world of a seed on an empty database, or (`since`: so many seconds old) as an earlier process left it.

    Everything that is changed for it is put back afterwards.
    """
    processes = lives.Lives(settings, SLICES)
    remove = lives.install(processes)
    saved = http.Partner._perform, checkout._WAIT_SECONDS, checkout._WAITS, janitor._CHUNK, refund_janitor._CHUNK
    try:
        name = f"{seed}:{life}" if life else str(seed)
        with chance.ruled_by(name) as world_clock:
            world_clock.advance(since or 0.0)
            network = Network(partners.all, world_clock, processes, Random(f"network:{name}"))
            http.Partner._perform = lambda _, exchange: network.perform(exchange)  # type: ignore[method-assign,assignment]
            # Nobody waits for a call of another process, which would only take time here.
            checkout._WAIT_SECONDS, checkout._WAITS = 0, 2
            if settings.url.startswith("postgres"):
                # What runs at once would be ordered by the server, not by the seed.
                janitor._CHUNK = refund_janitor._CHUNK = 1
            await processes.begin()
            configure(partners.all)
            payments.keep_statements_in(folder / "statements")
            if since is None:
                await _price()
            yield World(
                seed,
                Random(f"story:{name}"),
                world_clock,
                processes,
                network,
                partners.all,
                [],
                {},
                itertools.count(1 + 1000 * life),
            )
            await processes.end()
    finally:
        http.Partner._perform = saved[0]  # type: ignore[method-assign]
        checkout._WAIT_SECONDS, checkout._WAITS, janitor._CHUNK, refund_janitor._CHUNK = saved[1:]
        runtime.use(PaymentSettings(), {})
        remove()


async def _price() -> None:
    item = await payments.propose_price(
        unit_code=UNIT, fee_code=FEE, kind="administrative", name="工本费", unit_name="证", price_fen=PRICE_FEN,
        valid_from_on=date(2026, 1, 1), approval_price="甘发改价格〔2020〕1号", proposed_by="a",
    )  # fmt: skip
    await payments.approve_price(fee_item_id=item, approved_by="b")
