"""What is wrong with a profile: everything at once, before the first message is sent."""

import codecs
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from payments.gateways.unified_pay import codes, templates

if TYPE_CHECKING:
    from payments.gateways.unified_pay.profile import Operation, Profile

_ORDER_FACTS = {
    "region", "pay_code", "order_no", "bill_no", "amount", "zero", "date", "unit_code", "unit_name", "payer", "title",
    "items",
}  # fmt: skip
# Operation → what its templates may name, and the words its answer must have.
_OPERATIONS: dict[str, tuple[set[str], set[str]]] = {
    "register": (_ORDER_FACTS, {"result"}),
    "order": (_ORDER_FACTS, {"result", "pay_url"}),
    "query": ({"region", "pay_code", "order_no"}, {"result", "pay_code", "bill"}),
    "close": ({"region", "pay_code", "order_no"}, {"result"}),
    "refund": ({"region", "refund_no", "txn", "amount", "reason"}, {"result", "refund_no", "refund", "amount"}),
    "refund_query": ({"region", "refund_no"}, {"result", "refund_no", "refund", "amount"}),
    "receipt_number": ({"region", "request_no", "unit_code"}, {"result", "receipt_number"}),
    "receipt_issue": (
        {"region", "request_no", "receipt_number", "pay_code", "txn", "amount", "unit_code"},
        {"result", "receipt", "receipt_number"},
    ),
    "receipt_query": ({"region", "request_no"}, {"result", "receipt"}),
    "receipt_check": ({"region", "request_no"}, {"result"}),
    "receipt_reverse": ({"region", "request_no", "reason"}, {"result"}),
    "statement": ({"region", "day", "page"}, {"result", "page_count", "content"}),
}
_TOGETHER = (
    ("refund", "refund_query"),
    ("receipt_number", "receipt_issue", "receipt_query", "receipt_check", "receipt_reverse"),
)
_ITEM_FACTS = {"item_code", "item_name", "item_amount", "item_unit", "item_quantity"}
_PAYMENT = {"amount", "txn", "paid_date", "paid_time"}
_READ_WORDS = (
    {word for _, needed in _OPERATIONS.values() for word in needed}
    | _PAYMENT
    | {"text", "way", "paid_order", "order", "ends_date", "ends_time", "refund_id", "receipt_code", "check_code", "url", "red_number", "payer"}
)  # fmt: skip
_WORDS = {
    "bill": {"paid", "unpaid"},
    "order": {"open", "paid", "closed", "over"},
    "way": {"ours"},
    "refund": {"processing", "success", "closed"},
    "receipt": {"reserved", "issued", "on_paper", "reversed"},
}
_MEANINGS = {
    "done", "already_paid", "no_such_bill", "no_such_order", "order_over", "refused", "no_such_refund", "refund_refused",
    "not_enough", "on_paper", "no_such_receipt", "receipt_refused", "not_ready", "no_statement",
}  # fmt: skip
_COLUMNS = {"kind", "at", "pay_code", "order_no", "txn", "amount", "refund_no", "refund_id", "way"}


def complaints(profile: "Profile") -> list[str]:
    """Every fault of the profile, in Chinese; empty when it may be used."""
    found = [*_wire(profile), *_code(profile), *_results(profile), *_calls(profile), *_statement(profile)]
    return list(dict.fromkeys(found))


def _wire(profile: "Profile") -> Iterable[str]:
    try:
        codecs.lookup(profile.envelope.charset)
    except LookupError:
        yield f"envelope.charset：没有字符集 {profile.envelope.charset}"
    framed = profile.framing.kind == "length-prefixed"
    if framed != (profile.envelope.kind == "voucher"):
        yield "framing 与 envelope 不配：voucher 报文必须有长度域，plain 报文没有"
    if framed and not (
        2 <= profile.framing.length_digits <= 12 and profile.framing.magic and profile.framing.number_digits > 0
    ):
        yield "framing：长度域应为 2 至 12 位，magic 与 number_digits 必填"
    if not 1024 <= profile.framing.most_bytes <= 1 << 26:
        yield "framing.most_bytes 应在 1024 与 67108864 之间"
    if framed == (profile.proof.kind == "none"):
        yield "proof：有长度域的报文必须有校验码，没有长度域的报文不支持校验码"
    if profile.transport.kind == "tcp" and not framed:
        yield "transport：TCP 传输必须有长度域"
    if not 0 < profile.transport.connect_seconds <= profile.transport.total_seconds <= 14:
        yield "transport：连接时限不能超过总时限，总时限不能超过 14 秒"
    if framed and not (profile.push.number and profile.push.answer):
        yield "push：需要 number 与 answer"
    for name in ("open", "shut"):
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", getattr(profile.hours, name)):
            yield f"hours.{name} 应为 HH:MM"
    if not (120 <= profile.order.life_seconds <= 86400 and 0 <= profile.order.margin_seconds <= 86400):
        yield "order：life_seconds 应在 120 与 86400 之间，margin_seconds 不能超过一天"


def _code(profile: "Profile") -> Iterable[str]:
    try:
        pattern = re.compile(profile.pay_code.pattern)
        sample = codes.make(profile.pay_code.template, region="620981", serial=7, year=2026)
    except (re.error, ValueError) as error:
        yield f"pay_code：{error}"
        return
    if not pattern.fullmatch(sample) or not 16 <= len(sample) <= 32:
        yield f"pay_code：按 template 生成的 {sample} 不符合 pattern，或不在 16 至 32 位之间"


def _results(profile: "Profile") -> Iterable[str]:
    yield from (f"results：不认识的含义 {name}" for name in profile.results if name not in _MEANINGS)
    if not profile.results.get("done"):
        yield "results.done 至少要有一个结果码"
    if set(profile.results.get("done", ())) & {
        c for name, found in profile.results.items() if name != "done" for c in found
    }:
        yield "results：同一个结果码不能既表示成功又表示别的"
    for kind, words in profile.words.items():
        if kind not in _WORDS:
            yield f"words：不认识的类别 {kind}"
        else:
            yield from (f"words.{kind}：不认识的词 {word}" for word in words.values() if word not in _WORDS[kind])
    if set(profile.words.get("bill", {}).values()) != {"paid", "unpaid"}:
        yield "words.bill 必须同时说明已缴与未缴"


def _calls(profile: "Profile") -> Iterable[str]:
    yield from (f"operations：缺少 {name}" for name in ("order", "query") if name not in profile.operations)
    for name, operation in profile.operations.items():
        if name not in _OPERATIONS:
            yield f"operations：不认识的调用 {name}"
            continue
        facts, needed = _OPERATIONS[name]
        yield from _operation(f"operations.{name}", operation, facts, needed)
        if name == "query":
            read = operation.orders.read if operation.orders else operation.read
            yield from (f"operations.query.read：缺少 {word}" for word in sorted(_PAYMENT - set(read)))
    yield from (
        f"operations：{'、'.join(group)} 必须一起有或一起没有"
        for group in _TOGETHER
        if 0 < sum(name in profile.operations for name in group) < len(group)
    )
    if ("refund" in profile.operations) != (profile.refunds is not None):
        yield "refunds：有退款调用时必须说明退款能力，没有时不要写"
    yield from _templates("items.each", {"": profile.items.each}, _ITEM_FACTS)
    yield from _templates("items.fields", profile.items.fields, _ITEM_FACTS)
    needed = {"pay_code"} if profile.proof.kind == "none" else {"pay_code", *_PAYMENT}
    yield from (f"push.read：缺少 {word}" for word in sorted(needed - set(profile.push.read)))
    yield from (f"push.read：不认识的词 {word}" for word in profile.push.read if word not in _READ_WORDS)


def _operation(where: str, operation: "Operation", facts: set[str], needed: set[str]) -> Iterable[str]:
    read = {**operation.read, **(operation.orders.read if operation.orders else {})}
    yield from _templates(f"{where}.fields", operation.fields, facts)
    yield from (f"{where}.read：缺少 {word}" for word in sorted(needed - set(read)))
    yield from (f"{where}.read：不认识的词 {word}" for word in read if word not in _READ_WORDS)


def _templates(where: str, fields: Mapping[str, str], facts: set[str]) -> Iterable[str]:
    for name, template in fields.items():
        unknown = sorted(templates.names(template) - facts)
        if unknown:
            yield f"{where}.{name}：不能用 {'、'.join(unknown)}".replace(".：", "：")


def _statement(profile: "Profile") -> Iterable[str]:
    layout = profile.statement
    if ("statement" in profile.operations) != (layout is not None):
        yield "statement：有对账调用时必须说明对账单格式，没有时不要写"
    if profile.proof.kind == "none" and layout is None:
        yield "proof：报文没有校验码时，必须有对账单作为收款的凭据"
    if layout is not None:
        yield from (f"statement.columns：缺少 {name}" for name in sorted(_COLUMNS - set(layout.columns)))
        yield from (f"statement.columns：不认识的列 {name}" for name in layout.columns if name not in _COLUMNS)
        if len(layout.separator) != 1 or not 0 <= layout.ready_hour <= 23:
            yield "statement：separator 应为一个字符，ready_hour 应在 0 与 23 之间"
