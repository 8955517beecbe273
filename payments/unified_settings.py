"""Settings of the unified public payment channel (统一公共支付 / 非税): which regional profile, where, under which shared secret."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from kernel.config import setting
from payments.gateways.unified_pay import profile
from payments.gateways.unified_pay.profile import Profile, ProfileInvalid


@dataclass(frozen=True, kw_only=True)
class UnifiedPaySettings:
    """Off while no profile is named. The profile is a data file and is checked with the settings, all complaints together."""

    profile_name: str = setting(
        "UNIFIED_PAY_PROFILE",
        help="统一公共支付（非税）的地区模板：随产品提供的名称，或本县自己的 .toml 文件；空为不启用",
        default="",
    )
    url: str = setting(
        "UNIFIED_PAY_URL", help="财政平台地址：tcp://主机:端口（报文前置）或 https://…（省级平台）", default=""
    )
    token: str = setting("UNIFIED_PAY_TOKEN", help="与财政平台约定的报文校验密钥", default="", secret=True)
    region: str = setting("UNIFIED_PAY_REGION", help="行政区划代码，6 位，用于缴款码", default="")
    our_node: str = setting("UNIFIED_PAY_OUR_NODE", help="本系统在财政平台的节点编码", default="")
    finance_node: str = setting("UNIFIED_PAY_FINANCE_NODE", help="财政平台自己的节点编码", default="")

    def __post_init__(self) -> None:
        """Everything that is wrong, in one message."""
        if not self.enabled:
            return
        complaints = [text for text in self._complaints() if text]
        if complaints:
            raise ValueError("；".join(complaints))

    @property
    def enabled(self) -> bool:
        """Whether the channel is offered here."""
        return bool(self.profile_name)

    def profile(self) -> Profile:
        """The checked profile. Raises ProfileInvalid."""
        return profile.load(self.profile_name)

    def address(self) -> SplitResult:
        """The platform's address in its parts."""
        return urlsplit(self.url)

    def _complaints(self) -> list[str]:
        wrong = [
            "" if len(self.region) == 6 and self.region.isascii() and self.region.isdigit()
            else "UNIFIED_PAY_REGION 应为 6 位行政区划代码",
        ]  # fmt: skip
        try:
            found = self.profile()
        except ProfileInvalid as error:
            return [*wrong, *(f"UNIFIED_PAY_PROFILE {text}" for text in error.complaints)]
        parts, framed = self.address(), found.transport.kind == "tcp"
        try:
            port = parts.port
        except ValueError:
            port = None
        good = parts.scheme == "tcp" and port and not parts.path if framed else parts.scheme in ("https", "http")
        return [
            *wrong,
            "" if good and parts.hostname else f"UNIFIED_PAY_URL 应为{' tcp://主机:端口' if framed else '完整的网址'}",
            "" if not framed or len(self.token) >= 16 else "UNIFIED_PAY_TOKEN 至少 16 个字符",
            "" if not framed or (self.our_node and self.finance_node)
            else "UNIFIED_PAY_OUR_NODE 与 UNIFIED_PAY_FINANCE_NODE 必填",
        ]  # fmt: skip

    def production_complaints(self) -> list[str]:
        """What must not be in production."""
        if not self.enabled:
            return []
        local = self.address().hostname in ("127.0.0.1", "localhost", "::1")
        return [
            text
            for wrong, text in (
                (self.profile_name == "demo_county", "UNIFIED_PAY_PROFILE：演示县的模板不能用于正式环境"),
                (local, "UNIFIED_PAY_URL：正式环境不能使用沙箱地址"),
                (self.address().scheme == "http", "UNIFIED_PAY_URL 必须是 https，或专线上的 tcp"),
            )
            if wrong
        ]
