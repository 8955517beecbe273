"""The catalogue of messages: what each says in the app and which values it needs. Texts are plain Chinese, for people of eighty too."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from kernel import clock

Value = str | int | date | datetime


class Kind(StrEnum):
    """What a value is, which decides how it is written out."""

    TEXT = "text"
    NUMBER = "number"  # case number, parcel number: printable ASCII
    STATUS = "status"
    TIME = "time"
    DAY = "day"
    AMOUNT = "amount"  # fen


@dataclass(frozen=True)
class Template:
    """One kind of message. Every field is required except those with a fallback text."""

    name: str
    title: str
    text: str
    fields: Mapping[str, Kind]
    fallbacks: Mapping[str, str]

    def written(self, values: Mapping[str, Value]) -> dict[str, str]:
        """All values as text. Raises ValueError for a missing or unknown field: a bug of the caller."""
        unknown, missing = set(values) - set(self.fields), set(self.fields) - set(values) - set(self.fallbacks)
        if unknown or missing:
            raise ValueError(f"{self.name}: unknown {sorted(unknown)}, missing {sorted(missing)}")
        return {
            name: _write(kind, values.get(name)) or self.fallbacks.get(name, "") for name, kind in self.fields.items()
        }

    def rendered(self, written: Mapping[str, str]) -> str:
        """The text shown in the app."""
        return self.text.format_map(written)


_CASE = {"case_no": Kind.NUMBER, "item": Kind.TEXT}
_HINT = {"hint": "请在小程序中查看详情"}

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template(
            "progress",
            "办理进度提醒",
            "您申请的“{item}”有新进展：{status}。{hint}。办件编号 {case_no}，{at}。",
            {**_CASE, "status": Kind.STATUS, "at": Kind.TIME, "hint": Kind.TEXT},
            _HINT,
        ),
        Template(
            "correction",
            "材料补正通知",
            "您申请的“{item}”需要补充材料：{what}。请在 {until} 前补齐，补齐后会接着办理。办件编号 {case_no}。",
            {**_CASE, "what": Kind.TEXT, "until": Kind.DAY},
            {},
        ),
        Template(
            "payment",
            "待缴费提醒",
            "您申请的“{item}”需要缴费 {amount}。{hint}。办件编号 {case_no}。",
            {**_CASE, "amount": Kind.AMOUNT, "hint": Kind.TEXT},
            {"hint": "缴费后才能继续办理，请在小程序中缴费"},
        ),
        Template(
            "result",
            "办理结果通知",
            "您申请的“{item}”已有结果：{status}。{hint}。办件编号 {case_no}，{at}。",
            {**_CASE, "status": Kind.STATUS, "at": Kind.TIME, "hint": Kind.TEXT},
            _HINT,
        ),
        Template(
            "delivery",
            "快递派送提醒",
            "您的“{item}”快递有新消息：{status}。{hint}。办件编号 {case_no}，{at}。",
            {**_CASE, "status": Kind.STATUS, "at": Kind.TIME, "hint": Kind.TEXT},
            _HINT,
        ),
        Template(
            "refund",
            "退款提醒",
            "您办理“{item}”时交的 {amount} 应当退还给您：{cause}。款项会原路退回，您无需操作。办件编号 {case_no}。",
            {**_CASE, "amount": Kind.AMOUNT, "cause": Kind.TEXT},
            {},
        ),
        Template(
            "refund_done",
            "退款到账提醒",
            "您办理“{item}”时交的 {amount} 已经退还：{how}。如未收到请联系收款单位。办件编号 {case_no}。",
            {**_CASE, "amount": Kind.AMOUNT, "how": Kind.TEXT},
            {},
        ),
        Template(
            "refund_denied",
            "退款申请结果",
            "您申请退还“{item}”的 {amount} 没有通过，如有疑问请联系收款单位。办件编号 {case_no}。",
            {**_CASE, "amount": Kind.AMOUNT},
            {},
        ),
    )
}


def write_time(at: datetime) -> str:
    """2026年1月5日 15:01, in Beijing time."""
    local = clock.local(at)
    return f"{write_day(local.date())} {local:%H:%M}"


def write_day(day: date) -> str:
    """2026年1月5日."""
    return f"{day.year}年{day.month}月{day.day}日"


def write_amount(fen: int) -> str:
    """¥4.00, by integers only."""
    sign = "-" if fen < 0 else ""
    return f"{sign}¥{abs(fen) // 100}.{abs(fen) % 100:02d}"


def _write(kind: Kind, value: Value | None) -> str:
    match kind, value:
        case _, None:
            return ""
        case Kind.TIME, datetime():
            return write_time(value)
        case Kind.DAY, datetime():
            return write_day(clock.local(value).date())
        case Kind.DAY, date():
            return write_day(value)
        case Kind.AMOUNT, int():
            return write_amount(value)
        case ((Kind.TEXT | Kind.NUMBER | Kind.STATUS), str()):
            # Full stops at the end would double with those of the sentence around it.
            return " ".join(value.split()).rstrip("。")
    raise ValueError(f"a {kind} cannot be written from {type(value).__name__}")
