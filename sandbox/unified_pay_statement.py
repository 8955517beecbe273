"""The daily statement of the unified payment sandbox: lines of a day in pages, with the totals at the end, and how to spoil them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sandbox.control import ControlError
from sandbox.store import Doc
from sandbox.unified_pay_bills import Refused, digits

if TYPE_CHECKING:
    from sandbox.unified_pay import UnifiedPay

COLUMNS = ("类型", "时间", "缴款码", "订单号", "交易流水号", "金额", "方式", "退款单号", "退款流水号")
_WISHES = ("ready", "drop", "add", "change", "truncate", "extra_column", "summary_off")
KIND = "statement"
Row = dict[str, str]


class Statements:
    """Written from the books when it is asked for; a control verb may spoil one day."""

    def __init__(self, partner: "UnifiedPay") -> None:
        self._partner = partner

    def wish(self, day: str, wish: Doc) -> Doc:
        """How the statement of a day differs from the truth, for the next fetches."""
        unknown = [name for name in wish if name not in _WISHES]
        if unknown:
            raise ControlError(400, f"不认识的参数：{'、'.join(unknown)}")
        self._partner.store.put(KIND, day, wish, "ordered")
        return wish

    def page(self, day: str, page_no: str) -> dict[str, str]:
        """One page of a day's statement. Raises Refused while there is none."""
        wish = self._partner.store.get(KIND, day) or {}
        if not (len(day) == 8 and day.isdigit() and page_no.isdigit() and int(page_no) >= 1):
            raise Refused("18001", "对账日期或页码格式错误")
        if day >= digits(self._partner.now_s(), "%Y%m%d") or wish.get("ready") == "creating":
            raise Refused("18020", "对账单尚未生成")
        lines = self.lines(day)
        if wish.get("ready") == "none" or (len(lines) <= 2 and wish.get("ready") is not True):
            raise Refused("18021", "当日没有交易")
        size = int(self._partner.config["page_lines"])
        pages = [lines[at : at + size] for at in range(0, len(lines), size)]
        if wish.get("truncate"):
            pages[-1] = pages[-1][:-1]
        if int(page_no) > len(pages):
            raise Refused("18001", "没有这一页")
        content = "\n".join(pages[int(page_no) - 1])
        return {
            "Result": "00000",
            "BillDate": day,
            "PageNo": page_no,
            "PageCount": str(len(pages)),
            "FileContent": content,
        }

    def lines(self, day: str) -> list[str]:
        """Header, one line per payment and refund of the day, totals."""
        wish = self._partner.store.get(KIND, day) or {}
        rows = [r for r in self._rows(day) if not {r["交易流水号"], r["退款单号"]} & set(wish.get("drop", ()))]
        for row in rows:
            changed = wish.get("change", {}).get(row["退款单号"] or row["交易流水号"], {})
            row |= {name: str(value) for name, value in changed.items()}
        rows += [{**dict.fromkeys(COLUMNS, ""), **added} for added in wish.get("add", ())]
        names = list(COLUMNS)
        if wish.get("extra_column"):
            names.insert(3, str(wish["extra_column"]))
        body = ["|".join(row.get(name, "-") for name in names) for row in rows]
        off = int(wish.get("summary_off", 0))
        paid, back = (_sum(rows, kind) for kind in ("缴款", "退款"))
        return ["|".join(names), *body, f"合计|{len(rows)}|{_yuan(paid + off)}|{_yuan(back)}"]

    def _rows(self, day: str) -> list[Row]:
        bills, rows = self._partner.bills, []
        for paid in bills.payments():
            if digits(paid["at"], "%Y%m%d") == day:
                rows.append(_row("缴款", paid["at"], paid, paid["amount_fen"], paid["way"]))
        for back in bills.refunds():
            payment, at = bills.payment(back["txn"]), float(back["finished_at"] or 0)
            if back["state"] == "SUCCESS" and digits(at, "%Y%m%d") == day and payment is not None:
                row = _row("退款", at, payment, back["amount_fen"], payment["way"])
                rows.append({**row, "退款单号": back["refund_no"], "退款流水号": back["id"]})
        return sorted(rows, key=lambda row: row["时间"])


def _row(kind: str, at: float, payment: Doc, amount_fen: int, way: str) -> Row:
    return {
        "类型": kind, "时间": digits(at, "%Y%m%d%H%M%S"), "缴款码": payment["pay_code"], "订单号": payment["order_no"],
        "交易流水号": payment["txn"], "金额": _yuan(amount_fen), "方式": way, "退款单号": "", "退款流水号": "",
    }  # fmt: skip


def _sum(rows: Iterable[Row], kind: str) -> int:
    amounts = (row["金额"].replace(".", "") for row in rows if row["类型"] == kind)
    return sum(int(amount) for amount in amounts if amount.isdigit())  # a spoiled amount counts as nothing


def _yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"
