"""Settings of payments: how we ask, and who we are at each channel. Keys are read and checked once, all complaints together."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kernel.config import setting
from payments import alipay_account, key_files
from payments.gateways import rsa_keys
from payments.gateways.wechat_pay import signing

_RATE = re.compile(r"[a-z]+=[0-9]{1,3}")


@dataclass(frozen=True, kw_only=True)
class PaymentSettings:
    """How often channels are asked and how long things may take. The defaults fit a county."""

    order_minutes: int = setting(
        "PAYMENTS_ORDER_MINUTES", help="一次支付从发起到自动关闭的分钟数", default=30, minimum=2, maximum=120
    )
    fast_checks: bool = setting(
        "PAYMENTS_FAST_CHECKS",
        help="支付发起后的十分钟内每 30 秒主动查询一次；false 时只按渠道建议的间隔查询",
        default=True,
    )
    ask_every_seconds: float = setting(
        "PAYMENTS_ASK_EVERY_SECONDS", help="同一笔支付两次主动查询之间的最短秒数", default=3.0, minimum=0.2, maximum=60
    )
    sending_seconds: int = setting(
        "PAYMENTS_SENDING_SECONDS",
        help="发起支付的调用超过这么多秒没有结果，就视为进程已中断，改为查询；须大于渠道的总时限",
        default=15,
        minimum=6,
        maximum=120,
    )
    refusals_per_minute: int = setting(
        "PAYMENTS_REFUSALS_PER_MINUTE", help="每分钟最多记录多少条被拒绝的支付通知，其余只计数", default=20, minimum=1
    )
    fee_rates: tuple[str, ...] = setting(
        "PAYMENTS_FEE_RATES",
        help="各渠道合同手续费率，单位万分之一，用于对账，例如 wechat=60,alipay=60；没写的渠道不核对手续费",
        default=(),
    )
    bank_unit: str = setting(
        "PAYMENTS_BANK_UNIT", help="渠道结算款进入哪个单位的银行账户（账簿科目 bank: 后面的代码）", default="county"
    )

    def __post_init__(self) -> None:
        """Rates that cannot be read."""
        wrong = [text for text in self.fee_rates if not _RATE.fullmatch(text)]
        if wrong:
            raise ValueError(f"PAYMENTS_FEE_RATES 要写成 渠道=万分之几，例如 wechat=60；写错的有 {'、'.join(wrong)}")

    def fee_per_10000(self, channel: str) -> int | None:
        """The contract's rate of a channel in ten-thousandths; None: it is not checked."""
        rates = dict(text.split("=", 1) for text in self.fee_rates)
        return int(rates[channel]) if channel in rates else None


@dataclass(frozen=True, kw_only=True)
class WeChatPaySettings:
    """The merchant account at WeChat Pay (APIv3)."""

    base_url: str = setting(
        "WECHATPAY_BASE_URL",
        help="微信支付接口地址，正式环境为 https://api.mch.weixin.qq.com",
        default="https://api.mch.weixin.qq.com",
    )
    mchid: str = setting("WECHATPAY_MCHID", help="微信支付商户号")
    app_id: str = setting("WECHATPAY_APPID", help="与商户号绑定的小程序 AppID")
    merchant_serial: str = setting("WECHATPAY_MERCHANT_SERIAL", help="商户 API 证书序列号，十六进制")
    merchant_key_file: Path = setting("WECHATPAY_MERCHANT_KEY_FILE", help="商户 API 私钥文件 apiclient_key.pem")
    api_v3_key: str = setting("WECHATPAY_APIV3_KEY", help="APIv3 密钥，32 个字符", secret=True)
    public_key_id: str = setting(
        "WECHATPAY_PUBLIC_KEY_ID", help="微信支付公钥 ID，PUB_KEY_ID_ 开头；只用平台证书的老商户留空", default=""
    )
    public_key_file: Path | None = setting(
        "WECHATPAY_PUBLIC_KEY_FILE", help="微信支付公钥文件 pub_key.pem", default=None
    )
    h5: bool = setting("WECHATPAY_H5", help="商户号已开通 H5 支付，在手机浏览器里也提供微信支付", default=False)
    h5_return_url: str = setting(
        "WECHATPAY_H5_RETURN_URL", help="H5 支付后回到的页面地址，域名须在商户平台登记，可不填", default=""
    )
    notify_url: str = setting("WECHATPAY_NOTIFY_URL", help="微信支付通知本系统的完整地址，https，不带参数")

    def __post_init__(self) -> None:
        """Everything that is wrong, in one message."""
        complaints = [text for text in self._complaints() if text]
        if complaints:
            raise ValueError("；".join(complaints))

    def _complaints(self) -> list[str]:
        notify = urlsplit(self.notify_url)
        return [
            "" if len(self.api_v3_key.encode()) == 32 else "WECHATPAY_APIV3_KEY 必须正好 32 个字符",
            "" if notify.scheme in ("https", "http") and notify.hostname and not notify.query and not notify.fragment
            else "WECHATPAY_NOTIFY_URL 必须是完整地址且不带参数",
            "" if len(self.notify_url) <= 255 else "WECHATPAY_NOTIFY_URL 不能超过 255 个字符",
            "" if bool(self.public_key_id) == bool(self.public_key_file)
            else "WECHATPAY_PUBLIC_KEY_ID 与 WECHATPAY_PUBLIC_KEY_FILE 要么都填，要么都不填",
            "" if not self.public_key_id or self.public_key_id.startswith(signing.PUBLIC_KEY_PREFIX)
            else "WECHATPAY_PUBLIC_KEY_ID 应以 PUB_KEY_ID_ 开头",
            "" if not self.h5_return_url or urlsplit(self.h5_return_url).scheme in ("https", "http")
            else "WECHATPAY_H5_RETURN_URL 必须是完整地址",
            key_files.refusal(self.merchant_key),
            key_files.refusal(self.public_key),
        ]  # fmt: skip

    def merchant_key(self) -> RSAPrivateKey:
        """Our private key. Raises ValueError when it cannot be used."""
        name, path = "WECHATPAY_MERCHANT_KEY_FILE", self.merchant_key_file
        return key_files.named(name, lambda: rsa_keys.load_private_key(key_files.private_bytes(path, name)))

    def public_key(self) -> RSAPublicKey | None:
        """WeChat Pay's public key, if this merchant has one. Raises ValueError when it cannot be used."""
        if self.public_key_file is None:
            return None
        name, path = "WECHATPAY_PUBLIC_KEY_FILE", self.public_key_file
        return key_files.named(name, lambda: rsa_keys.load_public_key(key_files.public_bytes(path, name)))

    def production_complaints(self) -> list[str]:
        """What must not be in production, asked by the checks of DEPLOYMENT=production and by `doctor`."""
        return [
            text
            for wrong, text in (
                (not self.notify_url.startswith("https://"), "WECHATPAY_NOTIFY_URL 必须是 https"),
                (not self.base_url.startswith("https://"), "WECHATPAY_BASE_URL 必须是 https，不能是沙箱地址"),
            )
            if wrong
        ]


@dataclass(frozen=True, kw_only=True)
class AlipaySettings:
    """The merchant account at Alipay. Without ALIPAY_APP_ID the channel is not offered."""

    base_url: str = setting(
        "ALIPAY_BASE_URL",
        help="支付宝网关地址，正式环境为 https://openapi.alipay.com/gateway.do",
        default="https://openapi.alipay.com/gateway.do",
    )
    app_id: str = setting("ALIPAY_APP_ID", help="支付宝应用 APPID，16 位数字；不开通支付宝就留空", default="")
    seller_id: str = setting("ALIPAY_SELLER_ID", help="收款商户的 PID，2088 开头的 16 位数字", default="")
    app_key_file: Path | None = setting("ALIPAY_APP_KEY_FILE", help="应用私钥文件", default=None)
    public_key_file: Path | None = setting(
        "ALIPAY_PUBLIC_KEY_FILE", help="支付宝公钥文件（公钥模式）；注意不是应用公钥", default=None
    )
    app_cert_file: Path | None = setting("ALIPAY_APP_CERT_FILE", help="应用公钥证书文件（证书模式）", default=None)
    public_cert_file: Path | None = setting(
        "ALIPAY_PUBLIC_CERT_FILE", help="支付宝公钥证书文件（证书模式）", default=None
    )
    root_cert_file: Path | None = setting("ALIPAY_ROOT_CERT_FILE", help="支付宝根证书文件（证书模式）", default=None)
    notify_url: str = setting("ALIPAY_NOTIFY_URL", help="支付宝通知本系统的完整地址，https，不带参数", default="")
    return_url: str = setting("ALIPAY_RETURN_URL", help="在浏览器付完后回到的页面地址，可不填", default="")
    quit_url: str = setting("ALIPAY_QUIT_URL", help="在浏览器中途放弃支付时回到的页面地址，可不填", default="")
    mini_app_id: str = setting(
        "ALIPAY_MINI_APP_ID", help="支付宝小程序的 APPID，16 位数字；没有支付宝小程序就留空", default=""
    )
    bill_hosts: tuple[str, ...] = setting(
        "ALIPAY_BILL_HOSTS", help="允许下载对账单的主机名，逗号分隔", default=("dwbillcenter.alipay.com",)
    )

    def __post_init__(self) -> None:
        """Everything that is wrong, in one message."""
        complaints = alipay_account.complaints(self)
        if complaints:
            raise ValueError("；".join(complaints))

    @property
    def enabled(self) -> bool:
        """Whether this product takes money through Alipay."""
        return bool(self.app_id)

    @property
    def certificate_mode(self) -> bool:
        """Whether certificates are used and not bare keys."""
        return self.root_cert_file is not None

    def production_complaints(self) -> list[str]:
        """What must not be in production, asked by the checks of DEPLOYMENT=production and by `doctor`."""
        host = urlsplit(self.base_url).hostname or ""
        wrong = not self.base_url.startswith("https://") or host.endswith("alipaydev.com")
        return [
            text
            for is_wrong, text in (
                (wrong, "ALIPAY_BASE_URL 必须是正式环境的 https 地址，不能是沙箱地址"),
                (not self.notify_url.startswith("https://"), "ALIPAY_NOTIFY_URL 必须是 https"),
                (self.return_url and not self.return_url.startswith("https://"), "ALIPAY_RETURN_URL 必须是 https"),
            )
            if self.enabled and is_wrong
        ]
