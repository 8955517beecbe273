"""Who may use each route, written down a second time, independently of the table of routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from miniprogram_api.endpoints import Endpoint

CITIZEN = frozenset({"citizen"})
COURIER = frozenset({"courier"})
AGENT = frozenset({"agent"})
PHOTOS = CITIZEN | COURIER
PERSON = frozenset({"citizen", "courier", "agent"})
EVERYBODY: frozenset[str] = frozenset()

# Well-formed names of objects that nobody owns.
MISSING = {
    "case_no": "620981202601019999998", "draft_no": "620981202601019999999", "bill_no": "0" * 26,
    "payment_no": "0" * 26, "material_id": "a" * 26, "upload_id": "a" * 26, "delivery_no": "0" * 26,
    "waybill_no": "9999999999999", "message_id": "a" * 26, "result_id": "a" * 26, "quote_no": "a" * 26, "number": "1",
    "receipt_no": "0" * 26, "code": "0" * 26,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reach:
    """One route: its roles, the objects its path names, a request that is otherwise in order, what the right person gets."""

    roles: frozenset[str]
    objects: Mapping[str, str] = field(default_factory=dict)  # path parameter → name in Stage.objects
    fixed: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    data: Any = None
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    reached: tuple[int, ...] = (200,)


def twins(rows: list[Endpoint]) -> list[Endpoint]:
    """PATCH routes that phones reach by POST, because wx.request has no PATCH."""
    posts = {row.route for row in rows if row.method == "POST"}
    return [row for row in rows if row.method == "PATCH" and row.route not in posts]


def _own(name: str, known: str | None = None) -> dict[str, str]:
    return {name: known or name}


_CASE, _DRAFT = _own("case_no"), _own("case_no", "draft_no")
_PARCEL, _UPLOAD = _own("waybill_no"), _own("upload_id")
_PART = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
_FORM = b"--b\r\nContent-Disposition: form-data; name=file; filename=a.jpg\r\n\r\nno photo\r\n--b--\r\n"
_FILE = {"Content-Type": "multipart/form-data; boundary=b"}

POLICY: dict[str, Reach] = {
    # Coming in and going out. The logouts are only asked by those whom they must refuse; test_a_session_ends plays them.
    "POST /api/v1/login/wechat": Reach(roles=EVERYBODY, body={"code": "never-issued"}, reached=(401,)),
    "POST /api/v1/login/refresh": Reach(roles=EVERYBODY, body={"refresh_token": "x" * 43}, reached=(401,)),
    "POST /api/v1/courier/login": Reach(
        roles=EVERYBODY, body={"login_name": "nobody", "password": "nothing"}, reached=(401,)
    ),
    "POST /api/v1/agent/login": Reach(
        roles=EVERYBODY, body={"login_name": "nobody", "password": "nothing"}, reached=(401,)
    ),
    "POST /api/v1/logout": Reach(roles=PERSON),
    "POST /api/v1/logout/all": Reach(roles=PERSON),
    # One's own account: the path names nobody, so there is nobody else's to reach.
    "GET /api/v1/me": Reach(roles=CITIZEN),
    "POST /api/v1/me/phone": Reach(roles=CITIZEN, body={"code": "never-issued"}),
    "POST /api/v1/me/identity": Reach(roles=CITIZEN, body={"name": "无此人", "id_number": "1"}),
    # The catalogue is for everybody.
    "GET /api/v1/regions": Reach(roles=EVERYBODY),
    "GET /api/v1/items": Reach(roles=EVERYBODY),
    "GET /api/v1/items/{item_code}": Reach(roles=EVERYBODY, fixed={"item_code": "YM-YDZ-BB"}),
    # Cases. The finished case refuses commands for its state, which only its owner may learn.
    "POST /api/v1/cases": Reach(roles=CITIZEN, body={"item_code": "YM-YDZ-BB", "region_code": "620981"}),
    "PUT /api/v1/cases/{case_no}": Reach(roles=CITIZEN, objects=_DRAFT, body={"form": {}}),
    "POST /api/v1/cases/{case_no}/submission": Reach(
        roles=CITIZEN, objects=_DRAFT, body={"form": {}}, reached=(422,)
    ),
    "GET /api/v1/cases": Reach(roles=CITIZEN),
    "GET /api/v1/cases/{case_no}": Reach(roles=CITIZEN, objects=_CASE),
    "GET /api/v1/cases/{case_no}/status": Reach(roles=CITIZEN, objects=_CASE),
    "GET /api/v1/cases/{case_no}/timeline": Reach(roles=CITIZEN, objects=_CASE),
    "POST /api/v1/cases/{case_no}/corrections/{number}": Reach(
        roles=CITIZEN, objects={**_CASE, "number": "number"}, body={"materials": []}, reached=(409, 422)
    ),
    "POST /api/v1/cases/{case_no}/withdrawal": Reach(roles=CITIZEN, objects=_CASE, body={}, reached=(409,)),
    "POST /api/v1/cases/{case_no}/query-password": Reach(roles=CITIZEN, objects=_CASE),
    "GET /api/v1/cases/{case_no}/results/{result_id}": Reach(
        roles=CITIZEN, objects={**_CASE, "result_id": "result_id"}
    ),
    "POST /api/v1/case-query": Reach(
        roles=EVERYBODY, body={"case_no": MISSING["case_no"], "password": "000000"}, reached=(404,)
    ),
    # Photos belong to whoever sent them, a courier's evidence to the courier.
    "POST /api/v1/materials": Reach(roles=PHOTOS, data=_FORM, headers=_FILE),
    "GET /api/v1/materials/{material_id}": Reach(roles=PHOTOS, objects=_own("material_id")),
    "GET /api/v1/materials/{material_id}/thumbnail": Reach(roles=PHOTOS, objects=_own("material_id")),
    "POST /api/v1/uploads": Reach(roles=PHOTOS, headers={"Upload-Length": "1"}),
    "HEAD /api/v1/uploads/{upload_id}": Reach(roles=PHOTOS, objects=_UPLOAD),
    "GET /api/v1/uploads/{upload_id}": Reach(roles=PHOTOS, objects=_UPLOAD),
    "PATCH /api/v1/uploads/{upload_id}": Reach(
        roles=PHOTOS, objects=_UPLOAD, data=b"", headers=_PART, reached=(200, 409)
    ),
    "POST /api/v1/uploads/{upload_id}": Reach(
        roles=PHOTOS, objects=_UPLOAD, data=b"", headers=_PART, reached=(200, 409)
    ),
    "POST /api/v1/uploads/{upload_id}/completion": Reach(roles=PHOTOS, objects=_UPLOAD, reached=(409,)),
    # Money.
    "GET /api/v1/bills": Reach(roles=CITIZEN),
    "GET /api/v1/bills/{bill_no}": Reach(roles=CITIZEN, objects=_own("bill_no")),
    "POST /api/v1/bills/{bill_no}/payments": Reach(
        roles=CITIZEN, objects=_own("bill_no"), body={"channel": "wechat_jsapi"}, reached=(409,)
    ),
    "POST /api/v1/bills/{bill_no}/refund-requests": Reach(
        roles=CITIZEN, objects=_own("bill_no"), body={"reason": "不办了"}, reached=(201, 409)
    ),
    "GET /api/v1/payments/{payment_no}": Reach(roles=CITIZEN, objects=_own("payment_no")),
    # The receipt is the payer's; a stranger who holds the paper has its code, and everybody else has none.
    "GET /api/v1/receipts/{receipt_no}": Reach(roles=CITIZEN, objects=_own("receipt_no")),
    "GET /api/v1/documents/{code}": Reach(roles=EVERYBODY, fixed={"code": MISSING["code"]}, reached=(404,)),
    "GET /verify/{code}": Reach(roles=EVERYBODY, fixed={"code": MISSING["code"]}, reached=(404,)),
    # The parcel: the owner by its number, the assigned courier by the waybill.
    "GET /api/v1/delivery-quotes": Reach(roles=CITIZEN, query="?region_code=620981"),
    "GET /api/v1/deliveries/{delivery_no}": Reach(roles=CITIZEN, objects=_own("delivery_no")),
    "POST /api/v1/deliveries/{delivery_no}/sign-code": Reach(roles=CITIZEN, objects=_own("delivery_no")),
    "GET /api/v1/courier/me": Reach(roles=COURIER),
    "GET /api/v1/courier/parcels": Reach(roles=COURIER),
    "GET /api/v1/courier/parcels/{waybill_no}": Reach(roles=COURIER, objects=_PARCEL),
    "POST /api/v1/courier/parcels/{waybill_no}/pickup": Reach(roles=COURIER, objects=_PARCEL, reached=(200, 409)),
    "POST /api/v1/courier/parcels/{waybill_no}/handover": Reach(
        roles=COURIER, objects=_PARCEL, body={"code": "000000"}, reached=(409,)
    ),
    "POST /api/v1/courier/parcels/{waybill_no}/attempt-failed": Reach(
        # A refusal by the receiver needs a photo, and this one is nobody's: the state does not move.
        roles=COURIER, objects=_PARCEL, body={"reason": "refused", "photo": MISSING["material_id"]}, reached=(422,),
    ),
    # Would succeed and end the story, so nobody but strangers tries it.
    "POST /api/v1/courier/parcels/{waybill_no}/return": Reach(roles=COURIER, objects=_PARCEL, reached=()),
    # The agent: their own account and the catalogue, nothing of anybody else.
    "GET /api/v1/agent/me": Reach(roles=AGENT),
    # Messages.
    "GET /api/v1/messages": Reach(roles=CITIZEN),
    "POST /api/v1/messages/read": Reach(roles=CITIZEN, body={"message_nos": []}),
    "GET /api/v1/messages/subscriptions": Reach(roles=CITIZEN),
    "POST /api/v1/messages/subscriptions": Reach(roles=CITIZEN, body={"results": {"template": "accept"}}),
    # Partners prove themselves by signature; without one they are refused in the partner's own words.
    "POST /api/v1/callbacks/unified-pay": Reach(roles=EVERYBODY, body={}, reached=(400,)),
    "POST /api/v1/callbacks/wechat-pay": Reach(roles=EVERYBODY, body={}, reached=(401,)),
    "POST /api/v1/callbacks/alipay": Reach(roles=EVERYBODY, body={}, reached=(400,)),
    "POST /api/v1/callbacks/one-window/{verb}": Reach(
        roles=EVERYBODY, fixed={"verb": "event.push"}, body={}, reached=(200,)
    ),
    "POST /api/v1/callbacks/courier/{carrier}": Reach(
        roles=EVERYBODY, fixed={"carrier": "ems"}, body={}, reached=(400,)
    ),
    "GET /api/v1/callbacks/wechat": Reach(roles=EVERYBODY, reached=(400,)),
    "POST /api/v1/callbacks/wechat": Reach(roles=EVERYBODY, body={}, reached=(400,)),
    # Operations.
    "GET /healthz": Reach(roles=EVERYBODY),
    "GET /readyz": Reach(roles=EVERYBODY),
    "GET /openapi.json": Reach(roles=EVERYBODY),
    "GET /docs": Reach(roles=EVERYBODY),
}  # fmt: skip
