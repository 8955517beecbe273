"""People with and without WeChat, the sandbox's WeChat on a real port, and a worker for this package's rows."""

import pytest

import notifications
from kernel import db, http, inbox
from kernel.http import Partner
from kernel.wechat import WeChat, WeChatSettings
from kernel.worker import Worker
from notifications import handlers, runtime
from notifications.directory import Addresses
from notifications.settings import NotificationSettings
from sandbox.serving import serving
from sandbox.wechat import build

ZHANG, NOBODY, H5 = "ref-zhang", "ref-nobody", "ref-h5"
WITH_STATUS = {
    "case_no": "character_string1",
    "item": "thing2",
    "status": "phrase3",
    "at": "time4",
    "hint": "thing5",
}
MAPPINGS = {
    "progress": WITH_STATUS,
    "result": WITH_STATUS,
    "delivery": WITH_STATUS,
    "correction": {"case_no": "character_string1", "item": "thing2", "what": "thing3", "until": "date4"},
    "payment": {"case_no": "character_string1", "item": "thing2", "amount": "amount3", "hint": "thing4"},
}


def template_id(name: str) -> str:
    return f"sandbox-{name}-".ljust(43, "0")


class FakeDirectory:
    """The port behind which accounts live."""

    def __init__(self) -> None:
        self.openids: dict[str, str] = {}

    async def addresses(self, recipient_ref: str) -> Addresses:
        return Addresses(openid=self.openids.get(recipient_ref))


class Phone:
    """张桂兰's phone and everything WeChat knows about it."""

    def __init__(self, partner, directory: FakeDirectory) -> None:
        self.partner, self.directory = partner, directory
        self.openid = partner.people.find("zhangguilan")["openid"]
        directory.openids[ZHANG] = self.openid
        console = partner.environment()
        self.settings = WeChatSettings(
            base_url=console["WECHAT_BASE_URL"],
            appid=console["WECHAT_APPID"],
            secret=console["WECHAT_SECRET"],
            push_token=console["WECHAT_PUSH_TOKEN"],
            push_aes_key=console["WECHAT_PUSH_AES_KEY"],
        )
        self.wechat = WeChat(self.settings, Partner("wechat", partner.url, total_seconds=2))

    def allows(self, *names: str, times: int = 1) -> None:
        """The person taps "允许"; WeChat knows, we have not heard yet."""
        for _ in range(times):
            wish = {"templates": [template_id(name) for name in names], "push": False}
            self.partner.subscriptions.tap(self.partner.people.find("zhangguilan"), wish)

    def fault(self, effect: dict, *, call: str = "send", times: int | None = 1) -> None:
        self.partner.faults.order({"match": {"call": call}, "times": times, "effect": effect})

    @property
    def messages(self) -> list[dict]:
        return self.partner.subscriptions.messages(self.openid)[::-1]


@pytest.fixture
async def directory():
    return FakeDirectory()


@pytest.fixture
async def phone(tmp_path, database, directory):
    """Notifications configured against the sandbox's WeChat, with all its templates known."""
    async with serving(build, tmp_path / "sandbox") as partner:
        phone = Phone(partner, directory)
        notifications.configure(
            settings=NotificationSettings(), directory=directory, wechat=phone.wechat, push_configured=True
        )
        for name, mapping in MAPPINGS.items():
            await notifications.put_wechat_template(
                name=name, template_id=template_id(name), term="one_time", mapping=mapping
            )
        yield phone
    runtime._runtime = None
    await http.close()


@pytest.fixture
async def offline(database, directory):
    """Notifications without WeChat: only the inbox works."""
    notifications.configure(settings=NotificationSettings(), directory=directory, wechat=None, push_configured=False)
    yield
    runtime._runtime = None


def worker() -> Worker:
    return Worker(topics=handlers.TOPICS, subscriptions=handlers.SUBSCRIPTIONS)


async def work() -> None:
    """Everything that is due now."""
    await worker().run_until_idle()


async def pushed(body: bytes, number: int = 1) -> None:
    """A push that has been verified, stored and is now handled."""
    await inbox.receive(partner="wechat", external_id=f"push-{number}", headers={}, body=body)
    await work()


async def channel_state(channel: str = "wechat_subscribe") -> list[str]:
    rows = await db.fetch("SELECT state FROM notifications_delivery WHERE channel = ? ORDER BY id", channel)
    return [row["state"] for row in rows]
