"""The payment receipt as a PDF: right figures, everybody's screen, and nothing more for a stranger than the paper itself says."""

import re
import time

import msgspec
import pytest

import payments
from backend import payment_papers
from backend.catalog.models import Department, Region
from backend.delivery import runtime as delivery
from backend.delivery.settings import Settings
from backend.identity.models import Account
from backend.papers import glyphs, registry, typesetting
from backend.papers.settings import PapersSettings
from kernel.masks import mask_name
from kernel.problems import NotFound
from payments import refund_janitor
from payments.models import BillLine
from payments.receipt_rows import ReceiptView
from tests.backend.papers import reading
from tests.payments.conftest import OWNER, UNIT, books, channel
from tests.payments.test_refunds import agreed, hear, paid

__all__ = ["books", "channel"]  # the fixtures, for pytest


class Who(msgspec.Struct):
    """As much of an actor as a receipt needs."""

    account_ref: str = OWNER


async def named(name: str | None, owner: str = OWNER) -> None:
    await Account.filter(ref=owner).delete()
    await Account.create(ref=owner, name_mask=mask_name(name) if name else None)


@pytest.fixture
async def county(books, frozen_clock):
    """A paid bill in a county with a name, and an address where strangers verify."""
    await Department.create(
        code=UNIT,
        name="玉门市民政局",
        short_name="民政局",
        region_code="620981000000",
        consult_phone="1",
        complaint_phone="2",
    )
    await Region.create(
        code="620981000000", name="玉门市", full_name="甘肃省酒泉市玉门市", level="county", served=True,
        valid_from=frozen_clock.now().date(),
    )  # fmt: skip
    await named("张桂兰")
    registry.configure(
        PapersSettings(public_url="https://zsb.example.gov.cn"), {payment_papers.KIND: payment_papers.tell}
    )
    yield books
    registry.configure(PapersSettings(), {})


async def printed(receipt_no: str, owner: str = OWNER) -> bytes:
    return await payment_papers.pdf(actor=Who(owner), receipt_no=receipt_no)


async def code_on(receipt_no: str) -> str:
    return await registry.code_of(kind=payment_papers.KIND, number=receipt_no)


async def test_the_paper_says_what_was_paid(county):
    bill_no, payment_no = await paid(county)
    pdf = await printed(payment_no)
    text = reading.text_of(pdf)
    for words in (
        "玉门市政务服务缴费凭证", "已缴费", "张**", "玉门市民政局", "老年人优待证补办工本费", "人民币壹拾元整", "10.00", "微信支付",
        payment_no, bill_no, "本凭证不作为报销凭证",
    ):  # fmt: skip
        assert words in text, words
    assert "桂兰" not in text
    attempt = await county.attempt(payment_no)
    assert attempt.channel_txn_id not in text
    assert "****" + attempt.channel_txn_id[-4:] in text
    assert reading.pages_of(pdf) == 1


async def test_the_qr_code_leads_to_the_page_that_verifies_it(county):
    _, payment_no = await paid(county)
    code = await code_on(payment_no)
    assert reading.qr_codes(await printed(payment_no)) == [f"https://zsb.example.gov.cn/verify/{code}"]
    said = await registry.verify(code=code)
    assert (said.kind_label, said.issuer, said.holder_mask) == ("缴费凭证", "玉门市民政局", "张**")
    assert (said.amount_fen, said.returned_fen, said.status_label) == (1000, 0, "已缴费")


async def test_without_a_public_address_the_code_is_printed_alone(county):
    registry.configure(PapersSettings(), {payment_papers.KIND: payment_papers.tell})
    _, payment_no = await paid(county)
    pdf, code = await printed(payment_no), await code_on(payment_no)
    assert reading.qr_codes(pdf) == []
    assert code in reading.text_of(pdf).replace(" ", "")


async def test_nobody_elses(county):
    _, payment_no = await paid(county)
    with pytest.raises(NotFound) as refused:
        await printed(payment_no, "somebody-else")
    with pytest.raises(NotFound) as unknown:
        await printed("0" * 26)
    assert str(refused.value) == str(unknown.value)
    assert refused.value.detail == unknown.value.detail


async def test_refunds_stand_on_the_paper_and_on_the_page(county):
    _, payment_no = await paid(county)
    code = await code_on(payment_no)
    for part, back, state in ((400, "4.00", "部分退款"), (600, "10.00", "已退款")):
        refund_no = await agreed(payment_no, part)
        assert f"正在退款 {part // 100}.00 元" in reading.text_of(await printed(payment_no))
        county.clock.advance(seconds=61)
        await refund_janitor.check_refunds()
        await hear(county, refund_no, "SUCCESS")
        text = reading.text_of(await printed(payment_no))
        assert state in text and f"已退款 {back} 元" in text and "已缴费" not in text
        said = await registry.verify(code=code)
        assert (said.status_label, payments.yuan_text(said.returned_fen)) == (state, back)


@pytest.mark.parametrize(("code", "name"), [(UNIT, "邮政特快专递"), ("91620981MA7E4RT02W", f"单位 {UNIT}")])
async def test_who_collects_when_it_is_no_department(county, code, name):
    """The carrier takes the delivery fee; a unit that nobody knows any more is named by its code."""
    await Department.filter(code=UNIT).delete()
    delivery.configure(settings=Settings(key="k" * 32, unit_code=code), carriers={})
    _, payment_no = await paid(county)
    assert name in reading.text_of(await printed(payment_no))


async def test_the_same_receipt_gives_the_same_bytes(county):
    _, payment_no = await paid(county)
    first = await printed(payment_no)
    typesetting.forget_kept()
    county.clock.advance(days=400)
    assert await printed(payment_no) == first


async def test_small_enough_for_a_village(county):
    _, payment_no = await paid(county)
    assert len(await printed(payment_no)) <= 100_000


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("𠮷田光", "𠮷**"), ("𪚥某", "〓*"), ("欧阳娜娜", "欧阳**"), ("买买提·吐尔逊·阿不都热合曼", "买买***"), ("Anna Smith", "A***"),
        (None, "未实名"),
    ],
)  # fmt: skip
async def test_names_of_every_kind(county, name, mask):
    await named(name)
    _, payment_no = await paid(county)
    text = reading.text_of(await printed(payment_no))
    assert mask.replace("𠮷", glyphs.printable("𠮷")) in text


async def test_long_and_hostile_texts_stay_texts(county):
    """Names of fees are data: no markup, no file, no second page, whatever they hold."""
    bill_no, payment_no = await paid(county)
    bill = await county.bill(bill_no)
    wild = '#read("/etc/passwd") *粗* $x$ <标签> \\ [] {} " \u202e' + "很长的收费项目名称" * 5
    await BillLine.filter(bill_id=bill.id).update(name=wild[:100])
    for number in range(30):
        await BillLine.create(
            bill_id=bill.id,
            fee_code=f"F{number}",
            name=f"项目{number}" + "长" * 90,
            quantity=1,
            price_fen=1,
            amount_fen=1,
        )
    pdf = await printed(payment_no)
    text = reading.text_of(pdf).replace(" ", "")
    assert '#read("/etc/passwd")*粗*$x$<标签>' in text
    assert "root:" not in text
    assert reading.pages_of(pdf) == 1
    assert "人民币壹拾元整" in text and "另有" in text
    assert len(reading.qr_codes(pdf)) == 1
    await BillLine.filter(bill_id=bill.id, fee_code__startswith="F").delete()  # the books are looked at afterwards


async def test_the_fiscal_receipt_is_named_where_there_is_one(county, monkeypatch):
    _, payment_no = await paid(county)
    issued = ReceiptView(
        status="issued", label="已开具", amount_fen=1000, code="62060125", number="0012345678", check_code="a1b2c3"
    )
    attempt = await county.attempt(payment_no)

    async def views(ids):
        return {attempt.id: issued}

    monkeypatch.setattr("payments.receipt_rows.views_of", views)
    text = reading.text_of(await printed(payment_no))
    assert re.search("财政电子票据见：票据代码 ?62060125，票据号码 ?0012345678，校验码 ?a1b2c3", text)


async def test_printing_costs_little(county):
    """Measured, with room for a slow machine: docs/payments.md names what it was."""
    _, payment_no = await paid(county)
    await printed(payment_no)
    typesetting.forget_kept()
    before = time.process_time()
    await printed(payment_no)
    assert time.process_time() - before < 0.5
