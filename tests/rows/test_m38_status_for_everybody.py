"""M38 「申请人从政府门户网站即可查询、申办网上政务服务事项」·「信息查询」: one timeline for the owner, a masked look for who holds number and password."""

import re

from tests.rows.county import TOWN, Story


async def look(somebody, case_no: str, password: str) -> tuple[int, dict]:
    url = f"{somebody.phone.base}/api/v1/case-query"
    async with somebody.phone.session.post(url, json={"case_no": case_no, "password": password}) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_M38_one_timeline_of_case_bill_and_parcel_in_the_citizens_words(county):
    """The demo's own story, to the certificate in her hand."""
    story = Story(county.partners, lambda text: None)
    async for _ in story.play():
        pass
    lines = await story.timeline()
    assert {line["track"] for line in lines} == {"case", "bill", "parcel"}
    told = "\n".join(line["text"] for line in lines)
    for word in (
        "提交",
        "开出缴费单",
        "已缴费 10.00 元",
        "补正",
        "受理",
        "准予",
        "已缴费 6.00 元",
        "收件",
        "派送",
        "签收",
    ):
        assert word in told
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    for line in lines:
        assert re.search(r"[一-鿿]", line["text"])
        assert not re.search(r"[A-Z]{2,}_|\b(?:SUBMITTED|ACCEPTED|GRANTED|DELIVERED)\b", line["text"]), "a word of ours"


async def test_M38_nobody_else_sees_the_timeline(county):
    citizen, neighbour = await county.citizen(), await county.citizen(proven=False)
    await citizen.open()
    for path in (f"/cases/{citizen.case_no}", f"/cases/{citizen.case_no}/timeline"):
        assert (await neighbour.refused("GET", path)).status == 404
        assert (await county.stranger().refused("GET", path)).status == 401


async def test_M38_number_and_password_show_a_masked_status_without_login(county):
    citizen = await county.citizen()
    await citizen.open()
    quote = await citizen.call("GET", f"/delivery-quotes?region_code={TOWN}")
    body = await citizen.submission(quote_no=quote["quote_no"])
    receipt = await citizen.call("POST", f"/cases/{citizen.case_no}/submission", body)
    assert re.fullmatch(r"\d{6}", receipt["query_password"])

    status, seen = await look(county.stranger(), citizen.case_no, receipt["query_password"])
    assert status == 200
    assert (seen["status"], seen["status_label"], seen["item_name"]) == (
        "submitted",
        "已提交，等待受理",
        "老年人优待证补办",
    )
    assert seen["applicant_name"].endswith("*") or "*" in seen["applicant_name"]
    for private in (citizen.name, citizen.id_number, "13900000001", "幸福路"):
        assert private not in str(seen)

    renewed = (await citizen.call("POST", f"/cases/{citizen.case_no}/query-password"))["query_password"]
    if renewed != receipt["query_password"]:
        assert (await look(county.stranger(), citizen.case_no, receipt["query_password"]))[0] == 404, (
            "the old one is dead"
        )


async def test_M38_guessing_is_limited_and_tells_nothing(county):
    """A wrong number and a wrong password look the same; five wrong tries lock the case; then the address is slowed down."""
    citizen, stranger = await county.citizen(), county.stranger()
    await citizen.open()
    receipt = await citizen.call("POST", f"/cases/{citizen.case_no}/submission", await citizen.submission(pickup=True))
    right = receipt["query_password"]
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    no_such = citizen.case_no[:-1] + str((int(citizen.case_no[-1]) + 1) % 10)

    def told(answer: dict) -> dict:
        return {name: value for name, value in answer.items() if name != "request_id"}

    first, unknown = await look(stranger, citizen.case_no, wrong), await look(stranger, no_such, wrong)
    assert first[0] == unknown[0] == 404
    assert told(first[1]) == told(unknown[1])
    for _ in range(4):
        await look(stranger, citizen.case_no, wrong)
    locked = await look(stranger, citizen.case_no, right)
    assert locked[0] in (404, 429), "even the right password waits now"
    answers = [(await look(stranger, citizen.case_no, wrong))[0] for _ in range(10)]
    assert 429 in answers


async def test_M38_a_password_has_six_digits_and_a_number_twenty_one(county):
    for case_no, password in (("62098126112010100001", "123456"), ("6" * 21, "12345"), ("6" * 21, "abcdef")):
        assert (await look(county.stranger(), case_no, password))[0] in (422, 429)
