"""The finance office beside a county that takes payments: a day's business, its statements, and what the comparison made of them."""

from datetime import datetime, time, timedelta

import pytest

import payments
from kernel import clock, storage
from kernel.storage import StorageSettings
from payments import asking, reconciliation, refund_asking
from payments.models import Difference
from payments.reconciliation import workplace
from payments.reconciliation.models import ReconLine
from payments.settings import PaymentSettings
from payments.states import AttemptState
from tests.wire.test_wechat_pay import Town, door, town  # noqa: F401 - fixtures, handed on by conftest

SUM = 1000


class Counter:
    """The finance office beside the town: yesterday's business, its statements, and what the reconciliation made of them."""

    def __init__(self, place: Town) -> None:
        self.town = place
        self.day = clock.today() - timedelta(days=1)
        self._keys = 0

    def noon(self, day=None, at: time = time(12)) -> str:
        return datetime.combine(day or self.day, at, tzinfo=clock.SHANGHAI).isoformat()

    async def sell(self, *, known: bool = True, at: str | None = None) -> str:
        """One payment of ten yuan, paid over there; `known`: we have heard of it."""
        self._keys += 1
        view = await self.town.start(f"fee:{self._keys}")
        await self.town.pay(view.payment_no, at=at or self.noon(), notify=False)
        if known:
            await asking.work_on(view.payment_no)
            assert (await self.town.attempt(view.payment_no)).state == AttemptState.PAID
        return view.payment_no

    async def give_back(self, number: str, fen: int = 400) -> str:
        """A refund that two people wanted and that was sent; answers its number."""
        refund_no = await payments.request_refund(
            payment_no=number, amount_fen=fen, reason="多收", requested_by="张会计"
        )
        await payments.approve_refund(refund_no=refund_no, approved_by="李主任")
        await refund_asking.work_on(refund_no)
        return refund_no

    async def finish(self, refund_no: str, status: str = "SUCCESS") -> None:
        """The channel ends a refund, and we hear of it."""
        await self.town.control("POST", f"/refunds/{refund_no}/finish", {"status": status, "notify": False})
        await refund_asking.work_on(refund_no)

    async def row(self, number: str, **changed: str) -> dict[str, str]:
        """The line of an order as the partner would write it, to add it once more or to another day."""
        order = await self.town.order(number)
        api = order["api"]
        return {
            "交易时间": self.noon().replace("T", " ")[:19], "公众账号ID": api["appid"], "商户号": api["mchid"],
            "微信订单号": api["transaction_id"], "商户订单号": number, "交易状态": "SUCCESS", "货币种类": "CNY", "应结订单金额": "10.00",
            "代金券金额": "0.00", "退款金额": "0.00", "充值券退款金额": "0.00", "手续费": "0.06000", "订单金额": "10.00", "申请退款金额": "0.00",
        } | changed  # fmt: skip

    async def ready(self, day=None, **wish) -> None:
        await self.town.control("POST", f"/statements/{day or self.day}", wish)

    async def run(self, day=None, **more) -> dict[str, str]:
        found = await reconciliation.reconcile(channel="wechat", day=day or self.day, **more)
        return {run.kind: run.state for run in found}

    async def found(self) -> list[tuple[str, str, str]]:
        rows = await Difference.all().order_by("id")
        return sorted((row.class_name, row.payment_no or "", row.state) for row in rows)

    async def kept(self) -> list[tuple[str, str]]:
        return sorted((line.class_name, line.number or "") for line in await ReconLine.all())


@pytest.fixture
async def office(town, tmp_path, monkeypatch):  # noqa: F811
    storage.configure(StorageSettings(), data_folder=tmp_path / "data")
    workplace.use(tmp_path / "statements")
    payments.configure(PaymentSettings(fee_rates=("wechat=60",)), town.settings)
    # The books are open at any hour: whoever runs these tests at night sees what others see by day.
    monkeypatch.setattr(type(town.gateway.statements), "ready_hour", 0)
    yield Counter(town)
    assert list((tmp_path / "statements").iterdir()) == []


def flow_of(row: dict[str, str]) -> list[dict[str, str]]:
    common = {
        "记账时间": row["交易时间"], "微信支付业务单号": row["微信订单号"], "业务凭证号": row["商户订单号"], "业务名称": "交易", "账户结余(元)": "0.00",
    }  # fmt: skip
    return [
        common | {"资金流水单号": "F1", "业务类型": "交易", "收支类型": "收入", "收支金额(元)": "10.00"},
        common | {"资金流水单号": "F2", "业务类型": "扣除交易手续费", "收支类型": "支出", "收支金额(元)": "0.06"},
    ]
