"""The platform's signature rules, item rules and state tables, as a reader of the protocol would check them."""

import pytest

from sandbox.one_window_catalogue import (
    check_area,
    check_case,
    checked_item,
    choose,
    id_number_ok,
    in_force,
    item_key,
)
from sandbox.one_window_papers import certificate_jpeg, certificate_pdf
from sandbox.one_window_states import channel_move, clerk_move
from sandbox.one_window_wire import (
    Credentials,
    Refusal,
    check_profile,
    digest_of,
    signature,
    signed_headers,
    verify,
)
from tests.sandbox.one_window_samples import ITEM, case_body

WHO = Credentials(rid="rid-001", secret="appsecret-demo")
NOW = 1_700_000_000_000


def test_the_published_vectors_of_both_profiles() -> None:
    body = b'{"areaCode":"620981000000","taskCode":"demo-task-1"}'
    parts = {"secret": WHO.secret, "sid": "sid-001", "rid": WHO.rid, "rtime": str(NOW), "nonce": "nonce-1"}
    assert digest_of(body) == "9c8722b2e920bbca378b815812bd310c472097c05d2f93942489bf4b5846b8ce"
    assert signature(profile="ref", digest=digest_of(body), **parts) == "qr2ZNTMMh2BDFnuQfe62W2b5V2iuOz1GZKq5gKZUdo4="
    assert signature(profile="gjzwfwpt", digest="", **parts) == "wcw32oJ1BfxPy2Ixwtva2ua40ytMNHM97FgC5ursU6E="


def test_the_sm2_profile_is_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match="SM2"):
        check_profile("ref-sm")


def _verify(headers: dict[str, str], body: bytes = b"{}", *, verb: str = "case.push", now_ms: int = NOW) -> None:
    verify(profile="ref", who=WHO, verb=verb, headers=headers, body=body, now_ms=now_ms)


def _headers(body: bytes = b"{}") -> dict[str, str]:
    return signed_headers(profile="ref", who=WHO, verb="case.push", body=body, now_ms=NOW)


def test_a_signed_request_passes_within_five_minutes() -> None:
    headers = _headers()
    _verify(headers, now_ms=NOW + 300_000)
    with pytest.raises(Refusal) as refused:
        _verify(headers, now_ms=NOW + 300_001)
    assert refused.value.code == 301
    assert refused.value.data["reason"] == "rtime"


@pytest.mark.parametrize("name", ["gjzwfwpt_rid", "gjzwfwpt_sid", "gjzwfwpt_rtime", "x-ycsl-nonce", "x-ycsl-digest"])
def test_every_header_is_needed_and_every_header_counts(name: str) -> None:
    without = {key: value for key, value in _headers().items() if key != name}
    with pytest.raises(Refusal):
        _verify(without)
    changed = _headers()
    changed[name] = changed[name][:-1] + ("0" if changed[name][-1] != "0" else "1")
    with pytest.raises(Refusal):
        _verify(changed)


def test_one_changed_byte_of_the_body_is_noticed() -> None:
    with pytest.raises(Refusal) as refused:
        _verify(_headers(b'{"a":1}'), b'{"a":2}')
    assert refused.value.data["reason"] == "digest"


def test_a_signature_for_one_verb_is_no_signature_for_another() -> None:
    with pytest.raises(Refusal) as refused:
        _verify(_headers(), verb="case.withdraw")
    assert refused.value.data["reason"] == "sid"


def test_the_catalogue_knows_versions() -> None:
    old, new = checked_item(ITEM), checked_item({**ITEM, "taskVersion": "2"})
    assert choose([old, new], ITEM["taskCode"], None)["taskVersion"] == "2"
    assert choose([old, new], ITEM["taskCode"], "1")["taskVersion"] == "1"
    with pytest.raises(Refusal) as refused:
        in_force([old, new], ITEM["taskCode"], "1")
    assert refused.value.code == 304
    assert refused.value.data["currentVersion"] == "2"
    with pytest.raises(Refusal) as refused:
        choose([], ITEM["taskCode"], None)
    assert refused.value.code == 304


def test_one_task_code_may_have_several_handling_items() -> None:
    first = checked_item({**ITEM, "taskHandleItems": ["A"], "taskName": "补办"})
    second = checked_item({**ITEM, "taskHandleItems": ["B"], "taskName": "首次申领"})
    assert item_key(first) != item_key(second)
    assert choose([first, second], ITEM["taskCode"], None, "B")["taskName"] == "首次申领"
    assert in_force([first, second], ITEM["taskCode"], "1", "A")["taskName"] == "补办"
    with pytest.raises(Refusal):
        in_force([first, second], ITEM["taskCode"], "1", "C")


def test_an_item_is_open_in_its_areas_only() -> None:
    check_area(checked_item(ITEM), "620981000000")
    with pytest.raises(Refusal) as refused:
        check_area(checked_item(ITEM), "620902000000")
    assert refused.value.code == 302


def test_check_characters_of_identity_numbers() -> None:
    assert id_number_ok("570981195603150018")
    assert not id_number_ok("570981195603150016")
    assert not id_number_ok("57098119560315001")


def test_a_complete_case_passes() -> None:
    check_case(case_body("P1", attach_ids=["a1"]), checked_item(ITEM), has_attachment=lambda _: True)


def test_all_wrong_fields_are_told_at_once() -> None:
    case = case_body("P1", attach_ids=["a1"])
    case["applicant"]["applyerPageCode"] = "570981195603150016"
    case["contact"]["contactMobile"] = "110"
    case["form"] = []
    case["post"]["addressee"]["address"] = ""
    with pytest.raises(Refusal) as refused:
        check_case(case, checked_item(ITEM), has_attachment=lambda _: True)
    assert refused.value.code == 300
    assert {error["field"] for error in refused.value.data["errors"]} == {
        "applicant.applyerPageCode",
        "contact.contactMobile",
        "form.reason",
        "post.addressee.address",
    }


def test_missing_materials_and_unknown_attachments_are_305() -> None:
    case = case_body("P1", attach_ids=["a1", "a2"])
    with pytest.raises(Refusal) as refused:
        check_case(case, checked_item(ITEM), has_attachment=lambda key: key == "a1")
    assert refused.value.code == 305
    assert refused.value.data["missing"] == [{"materialId": "PHOTO", "attachId": "a2"}]
    case["materials"] = []
    with pytest.raises(Refusal) as refused:
        check_case(case, checked_item(ITEM), has_attachment=lambda _: True)
    assert refused.value.data["missing"] == [{"materialId": "PHOTO"}]


def test_only_a_tolerable_material_may_come_later_and_only_with_a_date_and_a_letter() -> None:
    case = case_body("P1", attach_ids=["a1"])
    later = {"materialId": "PROOF", "materialName": "户口簿", "getType": "deferred", "getNum": 1, "attachIds": ["a9"]}
    case["materials"].append(later)
    with pytest.raises(Refusal):
        check_case(case, checked_item(ITEM), has_attachment=lambda _: True)
    case["flags"]["tolerance"] = True
    later["promiseDate"] = "2026-12-01"
    check_case(case, checked_item(ITEM), has_attachment=lambda _: True)


def test_a_withdrawal_is_possible_until_the_decision() -> None:
    for state in ("SUBMITTED", "RECEIVED", "CORRECTION", "SUPPLEMENTED", "ACCEPTED", "PROCESSING", "SUSPENDED"):
        assert channel_move("case.withdraw", state) == "WITHDRAWN"
    for state in ("DRAFT", "FINISHED", "NOT_ACCEPTED", "WITHDRAWN", "DELIVERED"):
        with pytest.raises(Refusal) as refused:
            channel_move("case.withdraw", state)
        assert refused.value.code == 306
        assert refused.value.data["state"] == state


def test_the_clerk_accepts_once_and_decides_only_what_was_accepted() -> None:
    assert clerk_move("accept", "SUPPLEMENTED", accepted=False).target == "ACCEPTED"
    with pytest.raises(Refusal):
        clerk_move("accept", "SUPPLEMENTED", accepted=True)
    with pytest.raises(Refusal):
        clerk_move("decide", "SUPPLEMENTED", accepted=False, code="0")
    assert clerk_move("decide", "SUPPLEMENTED", accepted=True, code="0").target == "FINISHED"


def test_a_correction_that_never_came_ends_with_code_5_only() -> None:
    assert clerk_move("decide", "CORRECTION", accepted=False, code="5").target == "FINISHED"
    with pytest.raises(Refusal):
        clerk_move("decide", "CORRECTION", accepted=False, code="0")


def test_result_papers_are_real_files() -> None:
    pdf = certificate_pdf(title="老年人优待证", lines=["持证人：测试一", "编号：YDZ0001"])
    assert pdf.startswith(b"%PDF-1.4")
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert pdf[start : start + 4] == b"xref"
    assert certificate_jpeg(number="YDZ0001").startswith(b"\xff\xd8\xff")
