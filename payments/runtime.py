"""The one runtime object of payments: settings and the channels in use. Set once by the wiring; nothing happens at import."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from kernel.http import Partner
from kernel.problems import Problem
from payments import certificates
from payments.gateways.base import Capabilities, PaymentGateway
from payments.gateways.receipt_port import GivesReceipts, ReceiptPort
from payments.gateways.wechat_pay import signing
from payments.gateways.wechat_pay.client import Merchant, WeChatPayClient
from payments.gateways.wechat_pay.gateway import WeChatPayGateway
from payments.gateways.wechat_pay.keys import KeyTable
from payments.settings import AlipaySettings, PaymentSettings, WeChatPaySettings
from payments.unified_channel import unified_gateway
from payments.unified_settings import UnifiedPaySettings


class ChannelUnavailable(Problem):
    """The channel is not offered here."""

    status, code, title = 422, "payment-channel-unavailable", "暂不支持这种支付方式"


@dataclass(frozen=True)
class Offer:
    """One way to pay: a channel and one of its products."""

    gateway: PaymentGateway
    product: str

    @property
    def name(self) -> str:
        """What phones call it."""
        return way(self.gateway.channel, self.product)

    @property
    def can(self) -> Capabilities:
        """What it can do."""
        return self.gateway.products[self.product]


_settings: PaymentSettings | None = None
_gateways: dict[str, PaymentGateway] = {}


def configure(
    settings: PaymentSettings,
    wechat: WeChatPaySettings | None = None,
    alipay: AlipaySettings | None = None,
    unified: UnifiedPaySettings | None = None,
) -> None:
    """Takes settings and channels into use; called once by the wiring of each process."""
    gateways: dict[str, PaymentGateway] = {}
    if wechat is not None:
        gateways[WeChatPayGateway.channel] = wechat_gateway(wechat)
    if alipay is not None and alipay.enabled:
        # Its SDK costs 20 MB: only those who take money through Alipay load it.
        gateways["alipay"] = importlib.import_module("payments.alipay_channel").gateway(alipay)
    if unified is not None and unified.enabled:
        treasury = unified_gateway(unified)
        gateways[treasury.channel] = treasury
    use(settings, gateways)


def use(settings: PaymentSettings, gateways: Mapping[str, PaymentGateway]) -> None:
    """Takes ready-made channels into use."""
    global _settings, _gateways
    _settings, _gateways = settings, dict(gateways)


def wechat_gateway(settings: WeChatPaySettings) -> WeChatPayGateway:
    """WeChat Pay from its settings."""
    merchant = Merchant(
        mchid=settings.mchid,
        app_id=settings.app_id,
        serial=signing.normal_serial(settings.merchant_serial),
        key=settings.merchant_key(),
        api_v3_key=settings.api_v3_key.encode(),
        public_key_id=settings.public_key_id or None,
    )
    keys = KeyTable(
        channel=WeChatPayGateway.channel,
        public_key_id=settings.public_key_id or None,
        public_key=settings.public_key(),
        store=certificates.DatabaseStore(),
        news=certificates.ask_for_refresh,
    )
    partner = Partner(WeChatPayGateway.partner, settings.base_url)
    client = WeChatPayClient(partner=partner, merchant=merchant, keys=keys)
    return WeChatPayGateway(
        client=client,
        merchant=merchant,
        notify_url=settings.notify_url,
        h5=settings.h5,
        h5_return_url=settings.h5_return_url,
    )


def settings() -> PaymentSettings:
    """The settings in use."""
    if _settings is None:
        raise RuntimeError("payments.configure() was not called")
    return _settings


def gateway(channel: str) -> PaymentGateway:
    """The channel by our name for it. Raises ChannelUnavailable."""
    try:
        return _gateways[channel]
    except KeyError:
        raise ChannelUnavailable from None


def gateways() -> tuple[PaymentGateway, ...]:
    """Every channel in use."""
    return tuple(_gateways.values())


def channels_with_statements() -> tuple[str, ...]:
    """The channels whose books can be compared with ours."""
    return tuple(one.channel for one in _gateways.values() if one.statements is not None)


def receipt_port(channel: str) -> ReceiptPort | None:
    """Where e-receipts of a channel's payments come from; None for most."""
    known = _gateways.get(channel)
    return known.receipts if isinstance(known, GivesReceipts) else None


def way(channel: str, product: str) -> str:
    """The name phones use for a product of a channel, such as wechat_jsapi."""
    return f"{channel}_{product}"


def offers() -> tuple[Offer, ...]:
    """Every way to pay that is offered here."""
    return tuple(Offer(one, product) for one in _gateways.values() for product in one.offered)


def offer(name: str) -> Offer:
    """The way to pay by the name phones use. Raises ChannelUnavailable."""
    for one in offers():
        if one.name == name:
            return one
    raise ChannelUnavailable


def capabilities(channel: str, product: str) -> Capabilities | None:
    """What a product can do; None when its channel was switched off."""
    known = _gateways.get(channel)
    return known.products.get(product) if known else None
