"""The carrier's network as data: operation codes, demo places, postage by distance, unreachable counties; no state."""

import re
from dataclasses import dataclass

# Operation codes come from one integrator and are not verified with EMS; those marked "invented" have no published code.
MOVING = ("305", "405", "457")


@dataclass(frozen=True)
class Operation:
    """One kind of event: the code on the wire, its words, and the parcel state it leads to."""

    code: str
    name: str
    text: str
    state: str | None


OPERATIONS = {
    "assign": Operation("O_002", "派单", "揽收任务已派给投递员", "ASSIGNED"),  # invented
    "pickup": Operation("203", "揽收", "已收件，揽投员已取走邮件", "PICKED_UP"),  # invented
    "transit": Operation("305", "运输", "邮件离开【玉门市邮件处理中心】，正在发往下一站", "IN_TRANSIT"),
    "arrive": Operation("405", "到达", "邮件到达【酒泉邮件处理中心】", "IN_TRANSIT"),
    "out": Operation("702", "派件", "邮件正在派送中，请保持电话畅通", "OUT"),
    "problem": Operation("704", "未妥投", "邮件未妥投，收件人不在", "PROBLEM"),
    "refuse": Operation("516", "拒收", "收件人拒收", "REFUSED"),
    "sign": Operation("748", "签收", "邮件已签收，签收人：本人", "SIGNED"),
    "return": Operation("O_020", "退回", "邮件退回寄件人途中", "RETURNING"),  # invented
    "returned": Operation("O_021", "退回妥投", "邮件已退回寄件人", "RETURNED"),  # invented
    "lost": Operation("O_030", "异常", "邮件查找中，可能丢失", "LOST"),  # invented
    "cancel": Operation("O_011", "取消", "订单已取消", "CANCELLED"),
}
ROUTES = {
    "delivered": ("pickup", "transit", "arrive", "out", "sign"),
    "second_try": ("pickup", "transit", "out", "problem", "out", "sign"),
    "refused": ("pickup", "transit", "out", "refuse", "return", "returned"),
    "returned": ("pickup", "transit", "out", "problem", "out", "problem", "return", "returned"),
    "lost": ("pickup", "transit", "lost"),
}
# A parcel in one of these states will not move again by itself.
FINISHED = ("SIGNED", "RETURNED", "LOST", "CANCELLED")
BEFORE_PICKUP = ("BOOKED", "ASSIGNED")

_PROVINCES = (
    *("北京", "天津", "上海", "重庆", "河北", "山西", "辽宁", "吉林", "黑龙江", "江苏", "浙江", "安徽", "福建", "江西"),
    *("山东", "河南", "湖北", "湖南", "广东", "海南", "四川", "贵州", "云南", "陕西", "甘肃", "青海", "台湾"),
    *("内蒙古", "广西", "西藏", "宁夏", "新疆", "香港", "澳门"),
)
_FAR = ("西藏", "新疆", "海南", "台湾", "香港", "澳门")
_PLACE = re.compile(
    r"(?P<prov>[^省]{2,8}?(?:省|自治区|特别行政区)|北京市|天津市|上海市|重庆市)?"
    r"(?P<city>[^市州盟]{1,8}?(?:市|自治州|地区|盟))?"
    r"(?P<county>[^市区县旗]{1,10}?(?:市|区|县|旗))?(?P<address>.*)"
)


def province(whole_address: str) -> str | None:
    """The province an address begins with, by its short name; None when it names none."""
    return next((name for name in _PROVINCES if whole_address.strip().startswith(name)), None)


def parse_address(whole_address: str) -> dict[str, str]:
    """prov, city, county, address as far as the text says them."""
    match = _PLACE.match(whole_address.strip())
    return {name: value or "" for name, value in match.groupdict().items()} if match else {}


def postage_fen(sender: str, receiver: str, weight_g: int) -> int | None:
    """Standard postage by distance and weight; None when one of the addresses names no province."""
    here, there = province(sender), province(receiver)
    if here is None or there is None:
        return None
    if parse_address(sender).get("city") == parse_address(receiver).get("city") != "" and here == there:
        first, more = 800, 200
    elif here == there:
        first, more = 1200, 200
    elif there in _FAR or here in _FAR:
        first, more = 2600, 1000
    else:
        first, more = 2000, 600
    started_half_kilos = max(1, -(-weight_g // 500))
    return first + more * (started_half_kilos - 1)


def yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def label_pdf(waybill_no: str) -> bytes:
    """A one-page PDF that any reader opens, with the waybill number on it."""
    stream = f"BT /F1 24 Tf 40 200 Td (EMS {waybill_no}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 283 425] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + head + table + trailer
