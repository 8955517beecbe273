"""Answers of `gateway.do` as bytes: the node, the signature over exactly its bytes, and the hostile shapes of faults."""

import json
from typing import Any

from aiohttp import web

from sandbox.alipay_gateway import Call
from sandbox.alipay_keys import AlipayKeys
from sandbox.alipay_signing import sign
from sandbox.store import Doc

BODIES = (
    "reordered",
    "braces",
    "escaped",
    "spaced",
    "sign_first",
    "duplicate_key",
    "two_nodes",
    "other_node",
    "trailing",
)
SIGNATURES = ("other_key", "none", "sha1", "byte", "unknown_cert")
# A string and an object that lead astray whoever counts braces or looks for `},"sign":"`.
_TRAPS = {
    "sandbox_note": '}},"sign":"AAAA"}{"code":"40004"}',
    "sandbox_extra": {"inner": {"code": "40004"}, "sign": "AAAA", "open": "{{{"},
}


def node_name(method: str) -> str:
    """`alipay.trade.query` → `alipay_trade_query_response`."""
    return method.replace(".", "_") + "_response"


def answer(
    keys: AlipayKeys,
    call: Call | None,
    node: Doc,
    *,
    signed: bool,
    effect: dict[str, Any] | None = None,
    name: str = "",
) -> web.Response:
    """HTTP 200 and `text/html` although it is JSON, like the partner's."""
    encoding = call.encoding if call else "utf-8"
    body = worded(keys, call, node, signed=signed, effect=effect or {}, name=name).encode(encoding)
    charset = "GBK" if encoding != "utf-8" else "utf-8"
    return web.Response(body=body, headers={"Content-Type": f"text/html;charset={charset}"})


def worded(
    keys: AlipayKeys, call: Call | None, node: Doc, *, signed: bool, effect: dict[str, Any], name: str = ""
) -> str:
    """The whole answer as text; what is signed is the node's text and nothing else."""
    kind, proof = effect.get("body"), effect.get("signature")
    text = _node_text({**node, **(effect.get("override") or {})}, kind)
    members = [f'"{name or node_name(call.method if call else "")}":{text}']
    if kind == "other_node":
        members = [f'"alipay_trade_precreate_response":{text}']
    elif kind == "duplicate_key":
        members.insert(0, members[0].partition(":")[0] + ':{"code":"10000","msg":"Success"}')
    elif kind == "two_nodes":
        members.append('"error_response":{"code":"40004","msg":"Business Failed"}')
    if signed and proof != "none":
        extra = _proof(keys, call, text, proof)
        members = [*extra, *members] if kind == "sign_first" else [*members, *extra]
    return "{" + ",".join(members) + "}" + ("{}" if kind == "trailing" else "")


def _node_text(node: Doc, kind: str | None) -> str:
    if kind == "reordered":
        node = dict(reversed(list(node.items())))
    if kind == "braces":
        node = {"sandbox_first": _TRAPS["sandbox_note"], **node, **_TRAPS}
    if kind == "escaped":
        node = {**node, "sandbox_link": "https://open.example.com/doc/1"}
        return json.dumps(node, separators=(",", ":")).replace("/", "\\/")
    if kind == "spaced":
        return json.dumps(node, ensure_ascii=False, indent=2)
    return json.dumps(node, ensure_ascii=False, separators=(",", ":"))


def _proof(keys: AlipayKeys, call: Call | None, text: str, how: str | None) -> list[str]:
    key = keys.foreign_key() if how == "other_key" else keys.platform.key
    signature = sign(key, text.encode(call.encoding if call else "utf-8"), sha1=how == "sha1")
    if how == "byte":
        signature = flipped(signature)
    proof = [f'"sign":"{signature}"']
    if call is not None and call.certificate:
        sn = "0" * 32 if how == "unknown_cert" else keys.platform.sn
        proof.insert(0, f'"alipay_cert_sn":"{sn}"')
    return proof


def flipped(signature: str) -> str:
    """Valid base64 that is another signature."""
    at = len(signature) // 2
    return signature[:at] + ("B" if signature[at] == "A" else "A") + signature[at + 1 :]
