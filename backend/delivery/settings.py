"""What the county configures for sending results: the carrier's contract, the window as sender, the limits."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from backend.delivery.states import Canonical
from kernel.config import setting

# From one integrator, not verified with the carrier: therefore configuration, and unknown codes are stored.
EMS_OPCODES = (
    "305=IN_TRANSIT,405=IN_TRANSIT,457=IN_TRANSIT,702=OUT_FOR_DELIVERY,516=ATTEMPT_FAILED,704=ATTEMPT_FAILED,"
    "711=SIGNED,747=SIGNED,748=SIGNED,O_011=CANCELLED"
)
_SEED = str(Path(__file__).resolve().parent.parent / "seed" / "zones.json")
_SHORTEST_KEY = 32


def parse_opcodes(text: str) -> tuple[tuple[str, Canonical], ...]:
    """ "702=OUT_FOR_DELIVERY,…" as a table. Raises ValueError naming the part that is wrong."""
    table: list[tuple[str, Canonical]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        code, _, word = part.partition("=")
        if word.strip() not in Canonical.__members__:
            raise ValueError(f"不认识的轨迹含义 {part}")
        table.append((code.strip(), Canonical(word.strip())))
    return tuple(table)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Tariff, sender, limits and the key of the sign codes."""

    zones_path: str = setting("DELIVERY_ZONES_PATH", help="寄送收费表（JSON）的位置", default=_SEED)
    carrier: str = setting("DELIVERY_CARRIER", help="承运单位代码", default="ems", choices=("ems",))
    carrier_name: str = setting("DELIVERY_CARRIER_NAME", help="承运单位名称，显示给群众", default="邮政特快专递")
    unit_code: str = setting(
        "DELIVERY_UNIT_CODE", help="收取寄送费的单位代码（统一社会信用代码）", default="91620981MA7E4RT02W"
    )
    key: str = setting(
        "DELIVERY_KEY",
        help="签收码与送达回执的密钥，至少 32 个字符的随机文本；更换后在途包裹须重新生成签收码",
        secret=True,
    )
    sender_name: str = setting("DELIVERY_SENDER_NAME", help="寄件窗口名称", default="玉门市政务服务中心")
    sender_phone: str = setting("DELIVERY_SENDER_PHONE", help="寄件窗口电话", default="0937-0000000")
    sender_region: str = setting("DELIVERY_SENDER_REGION", help="寄件窗口所在地区代码（12 位）", default="620981000000")
    sender_province: str = setting("DELIVERY_SENDER_PROVINCE", help="寄件窗口所在省", default="甘肃省")
    sender_city: str = setting("DELIVERY_SENDER_CITY", help="寄件窗口所在市", default="酒泉市")
    sender_county: str = setting("DELIVERY_SENDER_COUNTY", help="寄件窗口所在县（市、区）", default="玉门市")
    sender_address: str = setting("DELIVERY_SENDER_ADDRESS", help="寄件窗口详细地址", default="政务服务中心综合窗口")
    quote_minutes: int = setting("DELIVERY_QUOTE_MINUTES", help="报价有效分钟数", default=120, minimum=1, maximum=10080)
    bill_days: int = setting("DELIVERY_BILL_DAYS", help="寄送费账单有效天数", default=90, minimum=1, maximum=365)
    attempt_limit: int = setting(
        "DELIVERY_ATTEMPT_LIMIT", help="派送失败几次后暂存站点", default=3, minimum=1, maximum=9
    )
    wrong_codes_per_hour: int = setting(
        "DELIVERY_WRONG_CODES_PER_HOUR", help="一名投递员每小时最多输错签收码的次数", default=10, minimum=1, maximum=100
    )
    wrong_codes_per_day: int = setting(
        "DELIVERY_WRONG_CODES_PER_DAY", help="一名投递员每天最多输错签收码的次数", default=30, minimum=1, maximum=300
    )
    poll_minutes: int = setting(
        "DELIVERY_POLL_MINUTES", help="多久没有轨迹消息就主动查询（分钟）", default=240, minimum=1, maximum=10080
    )

    def __post_init__(self) -> None:
        """The key carries every sign code: a short one would be worse than none."""
        if len(self.key) < _SHORTEST_KEY:
            raise ValueError(f"DELIVERY_KEY 至少 {_SHORTEST_KEY} 个字符")
        if len(self.sender_region) != 12 or not self.sender_region.isdigit():
            raise ValueError("DELIVERY_SENDER_REGION 必须是 12 位数字")


@dataclass(frozen=True, kw_only=True)
class EmsSettings:
    """The contract with EMS (open platform) and the meaning of its track codes."""

    base_url: str = setting("EMS_BASE_URL", help="EMS 开放平台地址（不含路径）")
    api_path: str = setting("EMS_API_PATH", help="EMS 接口路径", default="/amp-prod-api/f/amp/api/open")
    sender_no: str = setting("EMS_SENDER_NO", help="EMS 协议客户号")
    authorization: str = setting("EMS_AUTHORIZATION", help="EMS 授权码", secret=True)
    sign_key: str = setting(
        "EMS_SIGN_KEY", help="EMS 签名密钥（base64，16 字节）；没有单独密钥时留空，改用授权码", secret=True, default=""
    )
    product_no: str = setting("EMS_PRODUCT_NO", help="业务产品代码，以合同为准（1 特快专递）", default="1")
    quote_product: str = setting(
        "EMS_QUOTE_PRODUCT", help="资费估算用的 15 位产品代码，以合同为准", default="000000000000001"
    )
    contents: str = setting("EMS_CONTENTS_ATTRIBUTE", help="内件性质，以合同为准（1 文件）", default="1")
    payment_mode: str = setting("EMS_PAYMENT_MODE", help="付款方式，以合同为准（1 寄件人）", default="1")
    opcodes: tuple[tuple[str, Canonical], ...] = setting(
        "EMS_OPCODES",
        help="EMS 轨迹代码的含义，写成 702=OUT_FOR_DELIVERY,…",
        default=parse_opcodes(EMS_OPCODES),
        parse=parse_opcodes,
    )
    duplicate_codes: tuple[str, ...] = setting(
        "EMS_DUPLICATE_CODES", help="表示“订单号重复”的返回码，用逗号分隔", default=()
    )
    refused_codes: tuple[str, ...] = setting(
        "EMS_REFUSED_CODES", help="表示“订单确定被拒收”的返回码，用逗号分隔；其余错误按未知处理并重试", default=()
    )
    callback_addresses: tuple[str, ...] = setting(
        "EMS_CALLBACK_ADDRESSES", help="允许推送轨迹的来源地址，用逗号分隔；留空不限制", default=()
    )

    def __post_init__(self) -> None:
        """Refuses a key that SM4 cannot use."""
        try:
            length = len(base64.b64decode(self.signing_text, validate=True))
        except (binascii.Error, ValueError):
            length = 0
        if length != 16:
            raise ValueError("EMS_SIGN_KEY（或 EMS_AUTHORIZATION）必须是 16 字节密钥的 base64")

    @property
    def signing_text(self) -> str:
        """The text whose bytes are the key and which ends every encrypted body."""
        return self.sign_key or self.authorization
