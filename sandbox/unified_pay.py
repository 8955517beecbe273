"""The unified public payment partner (统一公共支付 / 非税): its faces, keys and settings. What it knows lives in its books."""

from typing import ClassVar

from aiohttp import web

from sandbox.partner import Partner, Run
from sandbox.store import Doc
from sandbox.unified_pay_bills import Bills
from sandbox.unified_pay_control import ControlVerbs
from sandbox.unified_pay_counter import Counter
from sandbox.unified_pay_frontend import Frontend
from sandbox.unified_pay_listener import Listener
from sandbox.unified_pay_province import Province
from sandbox.unified_pay_push import Messenger
from sandbox.unified_pay_receipts import Receipts
from sandbox.unified_pay_statement import Statements

# Our demo county's bodies that may charge; the platform refuses any other.
UNITS = ("11620981MB0001001X", "11620981MB0002002A", "11620981MB0003003B")
_FRAMES_PORT_OFFSET = 8


class UnifiedPay(Partner):
    """One finance platform seen from one county: frames over TCP and, for other regions, XML over HTTP."""

    name, title, port_offset = "unified_pay", "统一公共支付（非税）", 7
    default_config: ClassVar[Doc] = {
        "face": "frames",  # frames | province: which of its languages the pushes are in
        "region": "620981",
        "units": list(UNITS),
        "finance_node": "F6209810001",
        "unit_node": "K6209810001",
        "auto_notify": True,
        "auto_refund": "SUCCESS",  # SUCCESS | FAILED | null, a minute (scaled) after a refund was asked for
        "page_lines": 500,
    }
    fault_effects = ("signature", "frame")

    def setup(self) -> None:
        self.token = self.keys.secret("unified_pay.token", 32)

        def scale() -> float:
            return float(self.config["time_scale"])

        self.bills = Bills(self.store, now=self.now_s, time_scale=scale)
        self.receipts = Receipts(self.store, now=self.now_s, code="62010126", url=lambda: self.url)
        self.statements = Statements(self)
        self.frontend = Frontend(self)
        self.messenger = Messenger(self)
        self.listener = Listener(self)
        Province(self)
        Counter(self)
        ControlVerbs(self)
        self.calls += self.frontend.calls()

    async def start(self) -> None:
        await self.listener.start(self.run.base_port + _FRAMES_PORT_OFFSET if self.run.base_port else 0)
        try:
            await super().start()
        except OSError:
            await self.listener.stop()
            raise

    async def stop(self) -> None:
        await self.listener.stop()
        await super().stop()

    def environment(self) -> dict[str, str]:
        province = self.config["face"] == "province"
        return {
            "UNIFIED_PAY_PROFILE": "provincial_xml" if province else "demo_county",
            "UNIFIED_PAY_URL": f"{self.url}/province" if province else f"tcp://{self.run.host}:{self.listener.port}",
            "UNIFIED_PAY_TOKEN_FILE": str(self.keys.path("unified_pay.token")),
            "UNIFIED_PAY_REGION": str(self.config["region"]),
            "UNIFIED_PAY_OUR_NODE": str(self.config["unit_node"]),
            "UNIFIED_PAY_FINANCE_NODE": str(self.config["finance_node"]),
        }

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        if request.path.startswith("/province/") and code is not None:
            return Province.answer(f"<IS_SUCCESS><CODE>{code}</CODE><ERRMSG></ERRMSG></IS_SUCCESS>")
        return web.Response(text="", status=status)


def build(run: Run) -> UnifiedPay:
    """The partner of a run."""
    return UnifiedPay(run)
