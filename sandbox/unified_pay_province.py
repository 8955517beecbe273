"""The provincial platform's XML face: GBK text over HTTP, no signature, code 99 for what is already paid. Only the query was ever seen."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from aiohttp import web

from sandbox.store import Doc
from sandbox.unified_pay_bills import Refused, digits
from sandbox.unified_pay_frames import FrameError, parse
from sandbox.unified_pay_frontend import fen, yuan

if TYPE_CHECKING:
    from sandbox.unified_pay import UnifiedPay

_CODES = {"232": "99", "18004": "01", "18007": "01", "18020": "21", "18021": "22"}
Content = dict[str, Any]


class Province:
    """Operation name in the path, `<ROOT>` in and out."""

    def __init__(self, partner: "UnifiedPay") -> None:
        self._partner = partner
        self._work: dict[str, Callable[[Content, bytes], str]] = {
            "Get_Pay_Info_With_Order_Flow": self._pay_info, "Put_Pay_Info": self._register, "Create_Order_Flow": self._order,
            "Get_Pay_Statement": self._statement,
        }  # fmt: skip
        partner.route("POST", "/province/{operation}", self._serve, call="province")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw, operation = await request.read(), request.match_info["operation"]
        handler = self._work.get(operation)
        if handler is None:
            return self.answer(_failed("02", "没有该操作"))
        try:
            content = parse(raw.decode("gb18030"), "ROOT")
        except (FrameError, UnicodeDecodeError) as error:
            self.note(request, str(error))
            return self.answer(_failed("03", "报文格式错误"))
        self.note(request, "ok", _text(content, "REQUEST", "NOTICENO"))
        await self._partner.fault(request, operation)
        try:
            return self.answer(handler(content, raw))
        except Refused as refusal:
            return self.answer(_failed(_CODES.get(refusal.code, "98"), refusal.text, self._shown(refusal, content)))

    def note(self, request: web.Request, verdict: str, number: str = "") -> None:
        """For the request log."""
        self._partner.note(request, verdict=verdict, number=number)

    @staticmethod
    def answer(inner: str) -> web.Response:
        """GBK out, as the declaration says."""
        text = f'<?xml version="1.0" encoding="GBK"?><ROOT>{inner}</ROOT>'
        return web.Response(body=text.encode("gb18030"), headers={"Content-Type": "text/xml; charset=GBK"})

    def _shown(self, refusal: Refused, content: Content) -> str:
        """With code 99 the bill and its payment are shown, so that the caller need not ask again."""
        code = _text(content, "REQUEST", "NOTICENO")
        return self._result(code) if refusal.code == "232" and code else ""

    def _register(self, content: Content, _: bytes) -> str:
        bill = (content.get("REQUEST") or {}).get("APP_PAY") or {}
        code, projects = str(bill.get("NOTICENO") or ""), bill.get("PROJECT") or []
        projects = projects if isinstance(projects, list) else [projects]
        if not (17 <= len(code) <= 32 and code.isascii() and code.isdigit()):
            raise Refused("18002", "缴款单号应为 17 至 32 位数字")
        if bill.get("ENTERCODE") not in self._partner.config["units"]:
            raise Refused("18012", "没有该单位的代收费权限")
        items = [{"code": p["CHITCODE"], "name": p["CHITNAME"], "amount_fen": fen(p["CHMONEY"])} for p in projects]
        amount = fen(str(bill.get("TOTALMONEY") or ""))
        if amount < 1 or amount != sum(item["amount_fen"] for item in items):
            raise Refused("18001", "金额与项目合计不符")
        facts = {
            "unit_code": bill["ENTERCODE"], "unit_name": bill.get("ENTERNAME") or "", "amount_fen": amount, "items": items,
            "payer": bill.get("PAYER") or "", "title": items[0]["name"],
        }  # fmt: skip
        self._partner.bills.register(code, facts)
        return _done()

    def _order(self, content: Content, raw: bytes) -> str:
        code, number = _text(content, "REQUEST", "NOTICENO"), _text(content, "REQUEST", "PAYNO")
        if not number:
            raise Refused("18001", "缺少 PAYNO")
        order = self._partner.bills.place(code, number, request=raw)
        link = f"<PAYURL>{escape(f'{self._partner.url}/pay/{number}')}</PAYURL>"
        return _done(f"<RESULT>{_flow(order, None)}{link}</RESULT>")

    def _pay_info(self, content: Content, _: bytes) -> str:
        return _done(self._result(_text(content, "REQUEST", "NOTICENO")))

    def _result(self, code: str) -> str:
        """The bill and every order of it; a payment without an order of ours is an order flow of the counter."""
        bills = self._partner.bills
        bill = bills.existing(code)
        flows = []
        for order in bills.orders_of(code):
            flows.append(_flow(order, bills.payment(order["payment"]) if order["payment"] else None))
        for txn in bill["payments"]:
            payment = bills.payment(txn)
            if payment is not None and not payment["order_no"]:
                flows.append(_flow({**payment, "order_no": "", "ends_at": None, "created_at": payment["at"]}, payment))
        paid = "1" if bill["state"] == "PAID" else "0"
        shown = (
            f"<NOTICENO>{code}</NOTICENO><TOTALMONEY>{yuan(bill['amount_fen'])}</TOTALMONEY><PAYSTATE>{paid}</PAYSTATE>"
        )
        names = f"<ENTERCODE>{bill['unit_code']}</ENTERCODE><PAYER>{escape(bill['payer'])}</PAYER>"
        return f"<RESULT><APP_PAY>{shown}{names}</APP_PAY>{''.join(flows)}</RESULT>"

    def _statement(self, content: Content, _: bytes) -> str:
        page = self._partner.statements.page(_text(content, "REQUEST", "BILLDATE"), _text(content, "REQUEST", "PAGENO"))
        text = "".join(
            f"<{name.upper()}>{escape(value)}</{name.upper()}>" for name, value in page.items() if name != "Result"
        )
        return _done(f"<RESULT>{text}</RESULT>")


def _flow(order: Doc, payment: Doc | None) -> str:
    ends = order["ends_at"]
    fields = {
        "PAYNO": order["order_no"], "PAYMONEY": yuan(payment["amount_fen"] if payment else order["amount_fen"]),
        "CREATEDATE": digits(order["created_at"], "%Y%m%d"), "CREATETIME": digits(order["created_at"], "%H%M%S"),
        "LOSEDATE": digits(ends, "%Y%m%d") if ends else "", "LOSETIME": digits(ends, "%H%M%S") if ends else "",
        "PAYDATE": digits(payment["at"], "%Y%m%d") if payment else "", "PAYTIME": digits(payment["at"], "%H%M%S") if payment else "",
        "TRADECODE": payment["txn"] if payment else "", "WAYCODE": payment["way"] if payment else "",
    }  # fmt: skip
    return "<ORDERFLOW>" + "".join(f"<{name}>{value}</{name}>" for name, value in fields.items()) + "</ORDERFLOW>"


def _done(response: str = "") -> str:
    return f"<IS_SUCCESS><CODE>00</CODE><ERRMSG></ERRMSG></IS_SUCCESS><RESPONSE>{response}</RESPONSE>"


def _failed(code: str, text: str, response: str = "") -> str:
    return f"<IS_SUCCESS><CODE>{code}</CODE><ERRMSG>{escape(text)}</ERRMSG></IS_SUCCESS><RESPONSE>{response}</RESPONSE>"


def _text(content: Content, part: str, name: str) -> str:
    """A named parameter: `<PARAM NAME="…">value</PARAM>`."""
    params = (content.get(part) or {}).get("PARAM") or []
    for one in params if isinstance(params, list) else [params]:
        if isinstance(one, dict) and one.get("@NAME") == name:
            return str(one.get("#text") or "")
    return ""
