"""M29 「实现网上缴费并产生真实缴费记录」: the payer prints a receipt, and whoever holds the paper verifies it without an account."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.backend.papers import reading
from tests.rows.county import until


@dataclass
class Printed:
    """What came instead of JSON."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def printed(citizen, receipt_no: str, **more: str) -> Printed:
    headers = {"Authorization": f"Bearer {citizen.phone.token}"} | more
    url = f"{citizen.phone.base}/api/v1/receipts/{receipt_no}"
    async with citizen.phone.session.get(url, headers=headers) as answer:
        return Printed(answer.status, answer.headers, await answer.read())


async def looked_up(county, url: str) -> tuple[int, str]:
    async with county.session.get(url) as answer:
        assert answer.content_type == "text/html"
        assert answer.headers["X-Robots-Tag"] == "noindex"
        return answer.status, await answer.text()


async def receipt_of(citizen) -> str:
    overview = await citizen.call("GET", f"/cases/{citizen.case_no}")
    return overview["bills"][0]["payments"][0]["receipt_no"]


async def test_M29_the_payer_prints_a_receipt_and_a_stranger_verifies_it(county):
    citizen = await county.citizen()
    await citizen.paid_case()
    receipt_no = await receipt_of(citizen)
    answer = await printed(citizen, receipt_no)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="receipt.pdf"'
    assert answer.headers["Cache-Control"] == "private, no-cache"
    pdf = answer.body
    text = reading.text_of(pdf)
    for words in ("玉门市政务服务缴费凭证", "玉门市民政局", "人民币壹拾元整", "¥10.00", "已缴费", receipt_no):
        assert words in text, words
    assert citizen.name not in text and citizen.name[0] + "**" in text
    (url,) = reading.qr_codes(pdf)
    code = url.rpartition("/")[2]
    assert url == f"{county.stack.api}/verify/{code}"
    assert re.fullmatch("[0-9A-Z]{26}", code) and code != receipt_no
    status, page = await looked_up(county, url)
    assert status == 200
    for words in ("核验通过", "玉门市民政局", "10.00 元", citizen.name[0] + "**", "已缴费"):
        assert words in page, words
    said = await county.stranger().call("GET", f"/documents/{code}")
    assert (said["amount_fen"], said["returned_fen"], said["status"]) == (1000, 0, "paid")


async def test_M29_the_same_receipt_is_the_same_file(county):
    citizen = await county.citizen()
    await citizen.paid_case()
    receipt_no = await receipt_of(citizen)
    first, again = await printed(citizen, receipt_no), await printed(citizen, receipt_no)
    assert first.body == again.body
    assert first.headers["ETag"] == again.headers["ETag"]
    unchanged = await printed(citizen, receipt_no, **{"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status, unchanged.body) == (304, b"")


async def test_M29_a_receipt_is_nobody_elses_and_a_code_is_not_guessed(county):
    citizen, neighbour = await county.citizen(), await county.citizen()
    await citizen.paid_case()
    receipt_no = await receipt_of(citizen)
    theirs = await neighbour.refused("GET", f"/receipts/{receipt_no}")
    nobodys = await neighbour.refused("GET", f"/receipts/{'0' * 26}")
    assert theirs.status == nobodys.status == 404
    assert {**theirs.body, "request_id": ""} == {**nobodys.body, "request_id": ""}
    assert (await county.stranger().refused("GET", f"/receipts/{receipt_no}")).status == 401
    by_number = await county.stranger().refused("GET", f"/documents/{receipt_no}")
    made_up = await county.stranger().refused("GET", f"/documents/{'0' * 26}")
    assert by_number.status == 404, "the number of a receipt is not its code"
    assert {**by_number.body, "request_id": ""} == {**made_up.body, "request_id": ""}
    status, page = await looked_up(county, f"{county.stack.api}/verify/{receipt_no}")
    assert status == 404 and "没有这份凭证" in page


async def test_M29_a_paper_printed_before_a_refund_is_found_out(county):
    citizen = await county.citizen()
    await citizen.paid_case()
    receipt_no = await receipt_of(citizen)
    (url,) = reading.qr_codes((await printed(citizen, receipt_no)).body)
    await citizen.call("POST", f"/cases/{citizen.case_no}/withdrawal", {"reason": "不需要了"})

    async def back() -> bool | None:
        overview = await citizen.call("GET", f"/cases/{citizen.case_no}")
        return True if overview["bills"][0]["status"] == "refunded" else None

    await until("退款到账", back, seconds=60)
    status, page = await looked_up(county, url)
    assert status == 200 and "已退款" in page
    assert "已退金额</dt><dd>10.00 元" in page
    text = reading.text_of((await printed(citizen, receipt_no)).body)
    assert "已退款 10.00 元（壹拾元整）" in text and "已缴费" not in text
