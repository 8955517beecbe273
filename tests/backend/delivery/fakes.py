"""A carrier that does what a test tells it: books by our number, forgets answers, refuses, tracks."""

from backend.delivery.carriers.base import BadCallback, CarrierEvent, CarrierReply, CarrierUnclear, Order


class FakeCarrier:
    """The port, by hand. `script` holds what the next calls do: an exception is raised, "lost" books and loses the answer."""

    code = "ems"

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.calls: list[str] = []
        self.script: list[object] = []
        self.tracks: dict[str, tuple[CarrierEvent, ...]] = {}
        self.price_fen = 2000
        self.picked_up: set[str] = set()
        self.cancelled: set[str] = set()

    def _next(self, call: str) -> object:
        self.calls.append(call)
        act = self.script.pop(0) if self.script else None
        if isinstance(act, Exception):
            raise act
        return act

    async def quote(self, *, sender, receiver, grams) -> int:
        self._next("quote")
        return self.price_fen

    async def create(self, order: Order) -> str:
        act = self._next("create")
        known = self.orders.setdefault(order.delivery_no, order)
        assert known == order, "a repeated booking must be the same booking"
        if act == "lost":
            raise CarrierUnclear("the answer was lost")
        return self.waybill(order.delivery_no)

    def waybill(self, delivery_no: str) -> str:
        return f"11{list(self.orders).index(delivery_no):011d}"

    async def cancel(self, *, delivery_no: str, waybill_no: str, reason: str) -> bool:
        act = self._next("cancel")
        assert waybill_no == self.waybill(delivery_no)
        if act == "lost":
            raise CarrierUnclear("the answer was lost")
        if waybill_no in self.picked_up:
            return False
        self.cancelled.add(waybill_no)
        return True

    async def track(self, waybill_no: str) -> tuple[CarrierEvent, ...]:
        self._next("track")
        return self.tracks.get(waybill_no, ())

    def parse_callback(self, headers, raw):
        raise BadCallback("not played here")

    def acknowledge(self, reply_token: str, *, accepted: bool) -> CarrierReply:
        return CarrierReply(200, {}, b"ok" if accepted else b"no")
