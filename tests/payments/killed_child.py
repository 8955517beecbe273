"""A process that starts or settles a payment and is killed with SIGKILL at a chosen moment. Run by test_killed.py only."""

import asyncio
import os
import signal
import sys

import payments
from kernel import crypto, db
from payments import ledger, runtime, settlement
from payments.settings import PaymentSettings
from tests.conftest import CRYPTO, TESTED_APPS, settings_for
from tests.payments.fakes import FakeChannel, FakeOrder


def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(FakeChannel):
    """Dies while it is being asked to make the order."""

    async def prepare(self, order):
        die()


async def main(url: str, moment: str, number: str, owner: str, openid: str) -> None:
    crypto.configure(CRYPTO)
    await db.connect(settings_for(url), TESTED_APPS)
    channel = Doomed()
    runtime.use(PaymentSettings(), {"wechat": channel})
    if moment == "sending":
        await payments.start_payment(
            owner_ref=owner, bill_no=number, channel="wechat_jsapi", payer_openid=openid, idem=None
        )
    channel.orders[number] = FakeOrder(b"", state="SUCCESS", txn_id="4200-one", payer=openid, amount_fen=1000)
    if moment == "posting":
        post = ledger.post

        async def post_and_die(**posting):
            await post(**posting)
            die()

        ledger.post = post_and_die
    await settlement.apply_evidence(channel.notice(number))
    die()  # settled, and nobody was told that it was


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
