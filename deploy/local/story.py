"""The first journey, step by step: an elderly citizen's lost card, from the login to the certificate in her hand.

`make demo` plays it for people, the journey test plays it against real processes, the kill test plays it while processes die.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deploy.local import photos
from deploy.local.people import Cast, Json, Partner, Unexpected, until

ITEM, REGION, TOWN = "YM-YDZ-BB", "620981000000", "620981102203"
PERSON, NAME, ID_NUMBER = "zhangguilan", "张桂兰", "57098119530412002X"
COURIER_LOGIN, COURIER_PASSWORD = "demo-courier", "demo-courier-2026"
_TAPS = 6
_ASSIGN_SECONDS = 20
Say = Callable[[str], None]
# Gives the parcel of a waybill to the courier with a login name, as a dispatcher at the window would.
Dispatch = Callable[[str, str], Awaitable[None]]


@dataclass
class Story:
    """One journey. Every step is a method; steps remember what later ones need."""

    cast: Cast
    say: Say
    person: str = PERSON
    name: str = NAME
    id_number: str = ID_NUMBER
    case_no: str = ""
    delivery_no: str = ""
    waybill_no: str = ""
    project_no: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    materials: dict[str, str] = field(default_factory=dict)
    money_paid_fen: int = 0
    # Carriers tell time in whole seconds; without a breath between its steps a played story would seem out of order.
    breath_seconds: float = 1.1
    dispatch: Dispatch | None = None

    def key(self, step: str) -> str:
        """The idempotency key of a step, made before it is first sent and kept for every repeat."""
        return self.keys.setdefault(step, uuid.uuid4().hex)

    async def play(self) -> AsyncIterator[str]:
        """Plays everything; yields the name of each step that has just ended."""
        for step in (
            self.log_in, self.prove_identity, self.subscribe, self.read_guide, self.upload_photos, self.apply, self.pay,
            self.reach_window, self.correct, self.decide, self.book_courier, self.pick_up, self.hand_over, self.hear_everything,
        ):  # fmt: skip
            await step()
            yield step.__name__

    # -- the citizen -------------------------------------------------------------------------------------------------

    async def log_in(self) -> None:
        """A WeChat code becomes our own token."""
        try:
            answer = await self._tap_in()
        except Unexpected as error:
            if "login-code-refused" not in str(error):
                raise
            answer = await self._tap_in()  # a code works once; when its answer was lost, a mini-program fetches another
        self._citizen.token, self._citizen.refresh_token = answer["access_token"], answer["refresh_token"]
        self.say(f"{self.name} 打开小程序，用微信登录")

    async def _tap_in(self) -> Json:
        code = (await self._wechat.do("POST", f"/persons/{self.person}/login_code"))["code"]
        answer: Json = await self._citizen.call("POST", "/api/v1/login/wechat", {"code": code, "device": "演示手机"})
        return answer

    async def prove_identity(self) -> None:
        """Phone by WeChat's button, then name and number against the population register."""
        code = (await self._wechat.do("POST", f"/persons/{self.person}/phone_code"))["code"]
        await self._citizen.call("POST", "/api/v1/me/phone", {"code": code})
        me = await self._citizen.call(
            "POST", "/api/v1/me/identity", {"name": self.name, "id_number": self.id_number}, key=self.key("identity")
        )
        self.say(f"绑定手机号，核验身份：{me['name']}，{me['assurance_label']}")

    async def subscribe(self) -> None:
        """She allows messages, often enough for the whole way."""
        templates = [t["template_id"] for t in (await self._wechat.do("GET", "/templates"))["templates"]]
        for tap in range(_TAPS):
            # One tap is one second of her life: WeChat tells taps apart by their second.
            await self._wechat.do("POST", "/clock", {"offset_s": tap - _TAPS})
            for first in range(0, len(templates), 3):
                choice = {"templates": templates[first : first + 3], "choice": "accept"}
                await self._wechat.do("POST", f"/persons/{self.person}/subscriptions", choice)
        await self._wechat.do("POST", "/clock", {"offset_s": 0})
        self.say("同意接收办理进度的订阅消息")

    async def read_guide(self) -> None:
        """What is needed, what it costs, how long it takes."""
        found = await self._citizen.call("GET", "/api/v1/items?q=优待证&region=620981")
        guide = await self._citizen.call("GET", f"/api/v1/items/{ITEM}")
        self.say(
            f"搜索“优待证”，找到 {len(found['items'])} 项，阅读办事指南《{guide['name']}》：{guide['promise_limit_label']}，{guide['fee']['summary']}"
        )

    async def upload_photos(self) -> None:
        """Two real photos, checked and cleaned on arrival."""
        taken = (
            ("PHOTO", "近期免冠照片", photos.portrait(sharp=False)),
            ("IDCARD", "身份证照片", photos.identity_card()),
        )
        for code, name, picture in taken:
            material = await self._citizen.upload(picture, "photo.jpg")
            self.materials[code] = material["material_id"]
            self.say(
                f"上传{name} {len(picture) / 1e6:.1f} MB，检查后保存为 {material['width']}×{material['height']}，已转正并去除定位信息"
            )

    async def apply(self) -> None:
        """Draft and submission with a courier delivery to a township."""
        opened = await self._citizen.call(
            "POST", "/api/v1/cases", {"item_code": ITEM, "region_code": REGION}, key=self.key("open")
        )
        self.case_no = opened["case_no"]
        quote = await self._citizen.call("GET", f"/api/v1/delivery-quotes?region_code={TOWN}")
        body = {
            "form": {"for_whom": "本人", "reason": "遗失", "contact_mobile": "13900000001", "old_card_void": True},
            "materials": [{"code": code, "material_ids": [ref]} for code, ref in self.materials.items()],
            "delivery": {
                "way": "mail",
                "quote_no": quote["quote_no"],
                "recipient": {
                    "name": self.name,
                    "phone": "13900000001",
                    "region_code": TOWN,
                    "address": "幸福路 8 号 2 单元 101 室",
                },
            },
        }
        answer = await self._citizen.call(
            "POST", f"/api/v1/cases/{self.case_no}/submission", body, key=self.key("submit")
        )
        self.say(
            f"提交申请，办件编号 {self.case_no}，{answer['status_label']}；邮寄到{quote['zone']} {quote['amount_fen'] / 100:.2f} 元"
        )

    async def pay(self) -> None:
        """Every open bill of the case by WeChat Pay; the callback settles it, never the phone."""
        for bill in (await self.overview())["bills"]:
            payment = await self._citizen.call(
                "POST",
                f"/api/v1/bills/{bill['bill_no']}/payments",
                {"channel": "wechat_jsapi"},
                key=self.key(bill["bill_no"]),
            )
            number = payment["payment_no"]
            payment = await until("收银台就绪", partial(self._ready_to_pay, number), seconds=30)
            if payment["status"] != "paid":
                await self._wechat_pay.do("POST", f"/orders/{number}/pay", {})
            await until("支付到账", partial(self._paid, number), seconds=30)
            self.money_paid_fen += payment["amount_fen"]
            self.say(f"微信支付 {payment['amount_fen'] / 100:.2f} 元（{bill['title']}），已到账")

    async def _ready_to_pay(self, payment_no: str) -> Json | None:
        payment = await self._citizen.call("GET", f"/api/v1/payments/{payment_no}")
        return payment if payment.get("client_action") or payment["status"] == "paid" else None

    async def _paid(self, payment_no: str) -> Json | None:
        payment = await self._citizen.call("GET", f"/api/v1/payments/{payment_no}")
        return payment if payment["status"] == "paid" else None

    # -- the window --------------------------------------------------------------------------------------------------

    async def reach_window(self) -> None:
        """The case arrives at the one-window platform with both photos."""
        found = await until("办件到达一窗受理平台", self._at_window, seconds=30)
        self.project_no = found["projectNo"]
        self.say(f"一窗受理平台收到办件 {self.project_no}，附件 {len(found['body']['materials'])} 项")

    async def _at_window(self) -> Json | None:
        listed: list[Json] = (await self._window.do("GET", "/cases"))["cases"]
        mine = next((case for case in listed if case["clientRef"] == self.case_no), None)
        return await self._window.do("GET", f"/cases/{mine['projectNo']}") if mine is not None else None

    async def correct(self) -> None:
        """The window asks once for a sharper photo; she answers; it goes back."""
        await self._clerk("receive")
        await self._clerk("correction")
        await until("补正通知", lambda: self._status("correcting"))
        view = await self.overview()
        waiting = view["case"]["corrections"][-1]
        self.say(f"窗口要求补正：{waiting['items'][0]['name']}——{waiting['items'][0]['problem']}")
        code = waiting["items"][0]["pointer"].rsplit("/", 1)[-1]
        material = await self._citizen.upload(photos.portrait(sharp=True), "photo.jpg")
        await self._citizen.call(
            "POST", f"/api/v1/cases/{self.case_no}/corrections/{waiting['number']}",
            {"materials": [{"code": code, "material_ids": [material["material_id"]]}]}, key=self.key("correct"),
        )  # fmt: skip
        await until("补正到达窗口", lambda: self._window_state("SUPPLEMENTED"), seconds=30)
        self.say("重新拍照补正，已送达窗口")

    async def decide(self) -> None:
        """Accepted, worked on, granted, issued."""
        await self._clerk("accept")
        await until("受理", lambda: self._status("accepted"))
        self.say("窗口受理")
        await self._clerk("step")
        await self._clerk("decide")
        await self._clerk("result_file")
        await until("办结", lambda: self._status("granted"))
        self.say("民政局审核通过，准予，证件制好")

    async def _clerk(self, action: str) -> None:
        try:
            await self._window.do("POST", f"/cases/{self.project_no}/{action}", {})
        except Unexpected as error:
            if "409" not in str(error):  # done already, by the same story before a restart
                raise

    async def _window_state(self, state: str) -> bool | None:
        return True if (await self._window.do("GET", f"/cases/{self.project_no}"))["state"] == state else None

    # -- the carrier -------------------------------------------------------------------------------------------------

    async def book_courier(self) -> None:
        """The carrier is booked with the fee that was quoted and paid."""
        parcel = await until("快递已预约", self._booked, seconds=30)
        self.delivery_no, self.waybill_no = parcel["delivery_no"], parcel["waybill_no"]
        self.say(f"{parcel['carrier_name']}已预约，运单号 {self.waybill_no}")

    async def _booked(self) -> Json | None:
        parcels: list[Json] = (await self.overview())["parcels"]
        return next((p for p in parcels if p["waybill_no"]), None)

    async def pick_up(self) -> None:
        """The carrier collects at the window and drives to its station, where the courier takes the parcel and goes out."""
        await self.log_courier_in()
        await self._wait_for_courier()
        await self._scan("pickup", "transit")
        self.say("邮政在窗口收件，运到投递站")
        await asyncio.sleep(self.breath_seconds)
        await self._courier.call("POST", f"/api/v1/courier/parcels/{self.waybill_no}/pickup", key=self.key("pickup"))
        await self._scan("out")
        await until("派送中", lambda: self._parcel_status("out_for_delivery"), seconds=30)
        self.say("快递员在投递站取到包裹，出发派送")

    async def _scan(self, *names: str) -> None:
        """What the carrier's own scanners tell, after a breath."""
        await asyncio.sleep(self.breath_seconds)
        for name in names:
            await self._ems.do("POST", f"/parcels/{self.waybill_no}/event", {"name": name})

    async def log_courier_in(self) -> None:
        """The name and password that the carrier gave him become a token."""
        answer = await self._courier.call(
            "POST", "/api/v1/courier/login", {"login_name": COURIER_LOGIN, "password": COURIER_PASSWORD}
        )
        self._courier.token = answer["access_token"]

    async def _wait_for_courier(self) -> None:
        """Assigned by itself while one courier covers the place; where several do, somebody has to choose."""
        if self.dispatch is not None and await self._with_courier() is None:
            await self.dispatch(self.waybill_no, COURIER_LOGIN)
        try:
            await until("包裹分配给快递员", self._with_courier, seconds=_ASSIGN_SECONDS)
        except Unexpected:
            raise Unexpected(
                f"包裹 {self.waybill_no} 没有分给投递员 {COURIER_LOGIN}：可能有几名投递员都负责这个地方，或演示投递员已停用。"
                f'请执行 make zsb ARGS="parcels assign {self.waybill_no} {COURIER_LOGIN} --clerk 姓名"'
            ) from None

    async def _with_courier(self) -> Json | None:
        page = await self._courier.call("GET", "/api/v1/courier/parcels")
        return next((p for p in page["items"] if p["waybill_no"] == self.waybill_no), None)

    async def hand_over(self) -> None:
        """At the door: a wrong code is refused, hers is right."""
        await asyncio.sleep(self.breath_seconds)
        code = (await self._citizen.call("GET", f"/api/v1/deliveries/{self.delivery_no}"))["sign_code"]
        if code is not None:
            await self._courier.call(
                "POST",
                f"/api/v1/courier/parcels/{self.waybill_no}/handover",
                {"code": code["code"]},
                key=self.key("handover"),
            )
        await until("签收", lambda: self._parcel_status("delivered"))
        self.say(f"{self.name} 出示签收码，快递员核对后交付，证件到手")

    async def hear_everything(self) -> None:
        """Every step was pushed to her phone and stands in her inbox; the window knows that the paper arrived."""
        await until("送达回执到达窗口", self._window_knows, seconds=30)
        sent = await until("订阅消息", self._told, seconds=30)
        self.say(f"手机上收到 {len(sent)} 条订阅消息")

    async def _window_knows(self) -> bool | None:
        case = await self._window.do("GET", f"/cases/{self.project_no}")
        return True if "DELIVERED" in str(case.get("deliveries", "")) else None

    async def _told(self) -> list[Json] | None:
        sent: list[Json] = (await self._wechat.do("GET", f"/persons/{self.person}/messages"))["messages"]
        mine = [m for m in sent if self.case_no in str(m)]
        return mine if "已签收" in str(mine) else None

    # -- shared ------------------------------------------------------------------------------------------------------

    async def overview(self) -> Json:
        """The one view of the case."""
        view: Json = await self._citizen.call("GET", f"/api/v1/cases/{self.case_no}")
        return view

    async def timeline(self) -> list[Json]:
        """The finished story as the citizen reads it."""
        lines: list[Json] = (await self._citizen.call("GET", f"/api/v1/cases/{self.case_no}/timeline"))["items"]
        return lines

    async def _status(self, wanted: str) -> bool | None:
        return True if (await self.overview())["case"]["status"] == wanted else None

    async def _parcel_status(self, wanted: str) -> bool | None:
        parcel = next(p for p in (await self.overview())["parcels"] if p["delivery_no"] == self.delivery_no)
        return True if wanted in (parcel["status"].lower(), parcel["state"].lower()) else None

    @property
    def _citizen(self) -> Any:
        return self.cast.citizen

    @property
    def _courier(self) -> Any:
        return self.cast.courier

    @property
    def _wechat(self) -> Partner:
        return self.cast.partner(1)

    @property
    def _wechat_pay(self) -> Partner:
        return self.cast.partner(3)

    @property
    def _window(self) -> Partner:
        return self.cast.partner(4)

    @property
    def _ems(self) -> Partner:
        return self.cast.partner(5)
