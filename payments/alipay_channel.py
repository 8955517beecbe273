"""Alipay put together from its settings. Imported only where Alipay is configured: its SDK is heavy."""

from kernel.http import Partner
from payments import alipay_account, certificates
from payments.gateways.alipay import certificates as sns
from payments.gateways.alipay.client import AlipayClient
from payments.gateways.alipay.gateway import AlipayGateway
from payments.gateways.alipay.keys import KeyTable
from payments.gateways.alipay.requests import Application
from payments.gateways.alipay.statements import AlipayStatements
from payments.settings import AlipaySettings


def gateway(settings: AlipaySettings) -> AlipayGateway:
    """The channel; keys and certificates were checked with the settings."""
    in_certificates = settings.certificate_mode
    roots = alipay_account.roots(settings) if in_certificates else []
    application = Application(
        app_id=settings.app_id,
        seller_id=settings.seller_id,
        key=alipay_account.app_key(settings),
        app_cert_sn=sns.sn(alipay_account.app_certificate(settings)) if in_certificates else None,
        root_cert_sn=sns.root_sn(roots) if in_certificates else None,
    )
    keys = KeyTable(
        channel=AlipayGateway.channel,
        public_key=alipay_account.public_key(settings),
        chain=alipay_account.alipay_chain(settings) if in_certificates else (),
        roots=roots,
        store=certificates.DatabaseStore(),
        news=certificates.ask_for_refresh,
    )
    partner = Partner(AlipayGateway.partner, settings.base_url)
    client = AlipayClient(partner=partner, application=application, keys=keys)
    return AlipayGateway(
        client=client,
        notify_url=settings.notify_url,
        return_url=settings.return_url,
        quit_url=settings.quit_url,
        mini_app_id=settings.mini_app_id,
        statements=AlipayStatements(client=client, hosts=settings.bill_hosts),
    )
