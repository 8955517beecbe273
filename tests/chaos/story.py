"""What happens in a world: taps, payments, notices, refunds, decisions, time, faults of the partners and kills, drawn by its seed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import yarl

import payments
from kernel import db
from kernel.problems import Problem
from payments.models import Attempt, Bill, Refund
from tests.chaos.lives import Killed
from tests.chaos.wire import ask
from tests.chaos.world import WAYS, World, configure

CHANNELS = {"wechat": "wechat_pay", "alipay": "alipay"}
# Calls and what may go wrong with them, as the sandboxes name both; each is ordered for the next calls of its kind.
CALLS = {
    "wechat_pay": ("jsapi", "query", "close", "refund", "refund_query", "*"),
    "alipay": (
        "alipay.trade.create", "alipay.trade.query", "alipay.trade.close", "alipay.trade.refund",
        "alipay.trade.fastpay.refund.query", "*",
    ),
}  # fmt: skip
EFFECTS: dict[str, tuple[dict[str, object], ...]] = {
    "wechat_pay": (
        {"drop": "before"}, {"drop": "after"},
        {"status": 500, "code": "SYSTEM_ERROR"}, {"status": 500}, {"status": 429}, {"status": 202}, {"status": 502, "body": "html"},
        {"status": 404, "signed": False}, {"status": 404, "signed": True}, {"status": 400, "signed": False},
        {"status_after": 500}, {"status": 400, "code": "INVALID_REQUEST", "signed": True}, {"status": 403, "code": "NO_AUTH", "signed": True},
        {"signature": "other_key"}, {"signature": "signtest"}, {"signature": "none"}, {"signature": "stale"},
        {"body": "garbage"}, {"body": "truncated"}, {"body": "html"}, {"body": "empty"},
        {"body": "truncated", "signed": True}, {"body": "duplicate_key"}, {"body": "reordered"},
    ),
    "alipay": (
        {"drop": "before"}, {"drop": "after"},
        {"status": 500}, {"status": 429}, {"status": 502, "body": "html"}, {"code": "20000"},
        {"status_after": 502}, {"code_after": "20000"}, {"code_after": "40004", "sub_code": "ACQ.SYSTEM_ERROR"},
        {"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"},
        {"signature": "other_key"}, {"signature": "none"},
        {"body": "garbage"}, {"body": "truncated"}, {"body": "html"}, {"body": "empty"},
    ),
}  # fmt: skip
FORGERIES = {
    "wechat_pay": (
        "body_byte", "body_space", "reserialise", "signature_byte", "signtest", "other_key", "unknown_serial", "swapped_nonce",
    ),
    "alipay": ("body_byte", "signature_byte", "other_key", "sha1_as_rsa2", "no_sign_type", "no_sign", "duplicate_field"),
}  # fmt: skip
KILLED_AT = (None, None, None, "sent", "answered", "commit")


class Story:
    """Draws and plays the steps of one world."""

    def __init__(self, world: World) -> None:
        self.world, self.draws = world, world.draws
        self.bills: list[str] = []
        self.owner: dict[str, str] = {}

    async def play(self) -> None:
        """From the first bill to the last fault; what is under way then is finished by the audit."""
        network, draws = self.world.network, self.draws
        network.rough = draws.choice((0.0, 0.03, 0.1, 0.25))
        network.meanwhile = self._meanwhile
        for partner in ("wechat_pay", "alipay"):
            await self._tempers(partner)
        for _ in range(draws.randrange(1, 4)):
            await self._guarded("issue", self.issue())
            for step in (self.tap, self.pay, self.notices)[: draws.randrange(4)]:
                await self._guarded(step.__name__, step())
        for _ in range(draws.randrange(20, 44)):
            name, step = self._draw()
            await self._guarded(name, step())
            self.world.clock.advance(draws.choice((0.05, 0.4, 2, 6)))
        # Evening: nobody taps any more, and what was begun goes on in the same bad weather.
        for _ in range(draws.randrange(8, 24)):
            step = draws.choice(
                (self.timers, self.timers, self.timers, self.work, self.notices, self.finish, self.decide, self.decide, self.ask_back,
                 self.fault, self.fault, self.kill_soon, self.together, self.retry)
            )  # fmt: skip
            await self._guarded(step.__name__, step())
            self.world.clock.advance(draws.choice((2, 16, 61, 301)))

    async def remember(self) -> None:
        """What an earlier process issued."""
        for bill in await Bill.all().order_by("id"):
            self.bills.append(bill.bill_no)
            self.owner[bill.bill_no] = bill.owner_ref

    async def _tempers(self, partner: str) -> None:
        draws = self.draws
        wish: dict[str, object] = {"sign_errors": draws.choice(("business", "all", "none"))}
        if partner == "wechat_pay":
            wish |= {"auto_refund": draws.choice((None, "SUCCESS", "SUCCESS", "CLOSED", "ABNORMAL"))}
            wish |= {"probe_first_notice": draws.random() < 0.2}
            wish |= {"notice_mode": draws.choice(("public_key", "public_key", "certificate"))}
        else:
            wish |= {"refund_outcome": draws.choice(("done", "pending"))}
            wish |= {"extra_notices": draws.choice(([], ["closed"], ["refund", "closed", "finished"]))}
        await self.world.network.control(partner, "POST", "/config", wish)
        self.world.say(f"{partner} is {wish}")

    def _draw(self) -> tuple[str, Callable[[], Awaitable[None]]]:
        weighted = (
            (5, self.tap), (2, self.other_tap), (8, self.pay), (5, self.notices), (5, self.work), (7, self.timers), (3, self.returns),
            (1, self.issue), (1, self.withdraw), (1, self.reopen), (6, self.ask_back), (7, self.decide), (3, self.retry),
            (3, self.finish), (1, self.channel_closes), (1, self.fails), (2, self.forge), (2, self.repeat), (10, self.fault),
            (7, self.kill_soon), (4, self.wait), (1, self.wait_long), (4, self.together), (1, self.no_balance),
        )  # fmt: skip
        step = self.draws.choices([step for _, step in weighted], [weight for weight, _ in weighted])[0]
        return step.__name__, step

    async def _guarded(self, name: str, work: Awaitable[None]) -> None:
        """One step in the life of the present process; a refusal by rule is an answer, a kill begins the next life."""
        try:
            await self.world.lives.run(self._tolerant(name, work))
        except Killed as where:
            self.world.say(f"{name}: KILLED at {where}")
            self.world.lives.shuffle = None
            configure(self.world.partners)
            self.world.network.meanwhile = self._meanwhile

    async def _tolerant(self, name: str, work: Awaitable[None]) -> None:
        self.world.say(name)
        try:
            await work
        except Problem as refused:
            self.world.say(f"{name}: refused, {refused.code}")

    async def _meanwhile(self) -> None:
        """What another process of ours, or the payer, does while a call is under way."""
        name, step = self.draws.choice(
            [
                (s.__name__, s)
                for s in (self.notices, self.work, self.timers, self.pay, self.tap, self.withdraw, self.repeat)
            ]
        )
        await self._tolerant(f"meanwhile {name}", step())

    # -- the payer and the office

    async def issue(self) -> None:
        bill_no = await self.world.issue(
            hours=self.draws.choice((0.3, 2, 30, 200)), late_policy=self.draws.choice(("refund", "accept"))
        )
        self.bills.append(bill_no)
        self.owner[bill_no] = (await Bill.get(bill_no=bill_no)).owner_ref

    def _bill(self) -> str | None:
        return self.draws.choice(self.bills) if self.bills else None

    async def tap(self) -> None:
        """Somebody taps "pay"; another way to pay makes another order of the same bill."""
        bill_no, way = self._bill(), self.draws.choice((*sorted(WAYS), "wechat_jsapi"))
        if bill_no is None:
            return
        view = await payments.start_payment(
            owner_ref=self.owner[bill_no], bill_no=bill_no, channel=way, payer_openid=WAYS[way], idem=None
        )
        self.world.say(f"tap {way} {bill_no} → {view.payment_no} {view.status}")
        if way == "alipay_wap" and view.client_action and self.draws.random() < 0.8:
            await self._open_cashier(view.client_action)

    async def _open_cashier(self, action: dict[str, object]) -> None:
        """The phone opens the signed address: only now the trade exists."""
        for value in action.values():
            if isinstance(value, str) and "gateway.do" in value:
                await ask(self.world.partners["alipay"], "GET", yarl.URL(value, encoded=True), {}, b"")

    async def other_tap(self) -> None:
        """Another phone of the family: what was active before belongs to the first phone."""
        async with db.transaction():
            for attempt in await Attempt.filter(active_slot__isnull=False).order_by("id"):
                attempt.active_slot = f"{attempt.id}:other"[:200]
                await attempt.save(update_fields=["active_slot"])
        await self.tap()

    async def _order(self) -> tuple[str, str] | None:
        """An attempt's channel and number; the partner may or may not know it."""
        rows = await Attempt.all().order_by("id")
        if not rows:
            return None
        row = self.draws.choice(rows)
        return CHANNELS[row.channel], row.payment_no

    async def pay(self) -> None:
        """The payer pays in the cashier: one order, sometimes all that can still be paid."""
        rows = await Attempt.all().order_by("id")
        chosen = rows if self.draws.random() < 0.2 else [self.draws.choice(rows)] if rows else []
        for row in chosen:
            wish: dict[str, object] = {}
            odd = self.draws.random()
            if odd < 0.08:
                wish = {"force": True}  # money where it should not arrive: on a closed or an expired order
            elif odd < 0.5:
                wish = {"notify_delay_ms": self.draws.choice((5_000, 60_000, 3_600_000))}
            elif odd < 0.6:
                wish = {"notify": False}
            found = await self.world.network.control(
                CHANNELS[row.channel], "POST", f"/orders/{row.payment_no}/pay", wish
            )
            self.world.say(f"pay {row.payment_no} {wish} → {'paid' if found else 'not possible'}")

    async def fails(self) -> None:
        order = await self._order()
        if order:
            await self.world.network.control(order[0], "POST", f"/orders/{order[1]}/fail", {})

    async def channel_closes(self) -> None:
        """The partner closes an order by its own time-out."""
        order = await self._order()
        if order:
            await self.world.network.control(order[0], "POST", f"/orders/{order[1]}/close", {})

    async def returns(self) -> None:
        """The phone comes back from the cashier and asks."""
        rows = await Attempt.all().order_by("id")
        if rows:
            row = self.draws.choice(rows)
            await payments.payment(owner_ref=row.payer_ref, payment_no=row.payment_no)

    async def withdraw(self) -> None:
        bill_no = self._bill()
        if bill_no and self.draws.random() < 0.6:
            async with db.transaction():
                await payments.void_bills(subject=(await Bill.get(bill_no=bill_no)).subject, reason="已撤回")

    async def reopen(self) -> None:
        bill = await Bill.filter(state="expired").order_by("id").first()
        if bill:
            await payments.reopen_bill(bill_no=bill.bill_no, expires_at=self.world.clock.now() + timedelta(hours=6))

    # -- refunds

    async def ask_back(self) -> None:
        rows = await Attempt.filter(channel_txn_id__isnull=False).order_by("id")
        if rows:
            fen = self.draws.choice((None, 1, 300, 400, 999, 1000))
            await payments.request_refund(
                payment_no=self.draws.choice(rows).payment_no, amount_fen=fen, reason="收错了", requested_by="王会计"
            )

    async def decide(self) -> None:
        rows = await Refund.filter(state__in=["requested", "approved"]).order_by("id")
        if rows:
            refund = self.draws.choice(rows)
            if self.draws.random() < 0.75:
                await payments.approve_refund(refund_no=refund.refund_no, approved_by="李主任")
            else:
                await payments.deny_refund(refund_no=refund.refund_no, denied_by="李主任", reason="不应退")

    async def retry(self) -> None:
        rows = await Refund.filter(state="failed").order_by("id")
        if rows:
            await payments.retry_refund(refund_no=self.draws.choice(rows).refund_no, requested_by="赵会计")

    async def finish(self) -> None:
        """A partner ends one of its refunds."""
        partner = self.draws.choice(("wechat_pay", "alipay"))
        found = (await self.world.network.control(partner, "GET", "/refunds"))["refunds"]
        open_ones = [one for one in found if one["status"] == "PROCESSING"]
        if open_ones:
            number = self.draws.choice(open_ones).get("out_refund_no" if partner == "wechat_pay" else "out_request_no")
            words = ("SUCCESS", "SUCCESS", "CLOSED", "ABNORMAL") if partner == "wechat_pay" else ("SUCCESS", "CLOSED")
            word = self.draws.choice(words)
            await self.world.network.control(partner, "POST", f"/refunds/{number}/finish", {"status": word})
            self.world.say(f"{partner} ends {number}: {word}")

    async def no_balance(self) -> None:
        """The merchant account is empty for a while."""
        partner = self.draws.choice(("wechat_pay", "alipay"))
        wish = {"balance_fen": self.draws.choice((0, None, None))}
        await self.world.network.control(partner, "POST", "/config", wish)

    # -- messages, timers, time

    async def notices(self) -> None:
        await self.world.network.pump(late=0.3)

    async def work(self) -> None:
        await self.world.worker()

    async def timers(self) -> None:
        await self.world.timers()

    async def forge(self) -> None:
        """Somebody forges a notice about a payment."""
        order = await self._order()
        if order:
            partner, number = order
            wish = {"about": {"out_trade_no": number}, "tamper": self.draws.choice(FORGERIES[partner])}
            if await self.world.network.control(partner, "GET", f"/orders/{number}"):
                await self.world.network.control(partner, "POST", "/notifications", wish)
                self.world.network.hits[f"{partner} notice: {wish['tamper']}"] += 1

    async def repeat(self) -> None:
        """The partner repeats an old notice, also of a refund, some times."""
        order = await self._order()
        if order:
            partner, number = order
            known = await self.world.network.control(partner, "GET", f"/orders/{number}")
            if known and known["payments"]:
                wish = {"about": {"out_trade_no": number}, "copies": self.draws.randrange(1, 4)}
                await self.world.network.control(partner, "POST", "/notifications", wish)
                self.world.network.hits[f"{partner} notice: repeated"] += 1

    async def wait(self) -> None:
        self.world.clock.advance(self.draws.choice((30, 61, 301, 900)))

    async def wait_long(self) -> None:
        self.world.clock.advance(self.draws.choice((1_900, 7_300, 30_000)))

    # -- what goes wrong

    async def fault(self) -> None:
        partner = self.draws.choice(("wechat_pay", "alipay"))
        effect = dict(self.draws.choice(EFFECTS[partner]))
        wish = {
            "match": {"call": await self._next_call(partner)}, "times": self.draws.randrange(1, 4),
            "skip": self.draws.choice((0, 0, 1)), "effect": effect,
        }  # fmt: skip
        await self.world.network.control(partner, "POST", "/faults", wish)
        self.world.say(f"fault {partner} {wish}")

    async def _next_call(self, partner: str) -> str:
        """Any call; often the one that a refund under way is about to make."""
        channel = next(name for name, known in CHANNELS.items() if known == partner)
        waiting = await Refund.filter(
            channel=channel, state__in=["approved", "sending", "unknown", "processing"]
        ).exists()
        if waiting and self.draws.random() < 0.7:
            return self.draws.choice(CALLS[partner][3:5])
        return self.draws.choice(CALLS[partner])

    async def kill_soon(self) -> None:
        """The process is killed at one of its next statements, commits or calls."""
        kind = self.draws.choice(KILLED_AT)
        after = self.draws.randrange(60 if kind is None else 6)
        self.world.lives.arm(after, kind)

    async def together(self) -> None:
        """Several things at once: copies of notices, a phone, the timers, the worker."""
        chosen = self.draws.sample(
            (self.notices, self.timers, self.work, self.returns, self.pay, self.tap, self.decide), 3
        )
        self.world.say(f"together {[one.__name__ for one in chosen]}")
        if db.engine() == "postgres":
            # There the server would order what runs at once, and no seed could be played again: one after the other.
            for one in chosen:
                await self._tolerant(f"in turn {one.__name__}", one())
            return
        self.world.lives.shuffle = self.draws
        try:
            await asyncio.gather(*(self._tolerant(f"at once {one.__name__}", one()) for one in chosen))
        finally:
            self.world.lives.shuffle = None
