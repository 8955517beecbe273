"""A process that starts or settles a payment and is killed with SIGKILL at a chosen moment. Run by test_operations.py only."""

import asyncio
import json
import os
import signal
import sys

import payments
from kernel import crypto, db
from kernel.config import load_one
from payments import ledger, runtime
from payments.settings import WeChatPaySettings
from tests.conftest import CRYPTO, TESTED_APPS, settings_for
from tests.payments.scenarios.stage import OPENID, OWNER, SETTINGS, callback_door, work


async def die(*_args, **_kwargs) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def work_and_die() -> None:
    await work()
    await die()


async def main(moment: str, url: str, lines: str, where: str) -> None:
    """`where` is the bill that is to be paid, or the port that hears the notice."""
    crypto.configure(CRYPTO)
    await db.connect(settings_for(url), TESTED_APPS)
    payments.configure(SETTINGS, load_one(WeChatPaySettings, json.loads(lines)))
    if moment == "sending":
        runtime.gateway("wechat").prepare = die
        await payments.start_payment(
            owner_ref=OWNER, bill_no=where, channel="wechat_jsapi", payer_openid=OPENID, idem=None
        )
    if moment == "posting":
        post = ledger.post

        async def post_and_die(**posting) -> None:
            await post(**posting)
            await die()

        ledger.post = post_and_die
    async with callback_door(port=int(where), before_answer=die if moment == "stored" else work_and_die):
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
