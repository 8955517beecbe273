"""The wire rules of YCSL-REF v1 as the platform keeps them: headers, digests, signatures, reply codes; no state.

Written from the protocol text alone and sharing nothing with the product, so that a mistake in the product's signing
cannot hide here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROFILES = ("ref", "gjzwfwpt")
TIME_WINDOW_MS = 300_000
NONCE_MEMORY_MS = 600_000
NONCE_SHAPE = re.compile(r"[0-9A-Za-z-]{16,64}")
DIGEST_SHAPE = re.compile(r"[0-9a-f]{64}")
RTIME_SHAPE = re.compile(r"[0-9]{13}")

OK = 200
REJECTED = 300
BAD_SIGNATURE = 301
NO_PERMISSION = 302
STALE_VERSION = 303
OBSOLETE_ITEM = 304
ATTACHMENT_MISSING = 305
ILLEGAL_TRANSITION = 306
SLOW_DOWN = 429
TEMPORARY = 500

MESSAGES = {
    OK: "请求成功",
    REJECTED: "数据校验不通过",
    BAD_SIGNATURE: "签名验证失败",
    NO_PERMISSION: "没有权限",
    STALE_VERSION: "数据版本不一致",
    OBSOLETE_ITEM: "事项版本不存在或已失效",
    ATTACHMENT_MISSING: "附件缺失",
    ILLEGAL_TRANSITION: "当前业务状态不允许此操作",
    SLOW_DOWN: "请求过于频繁",
    TEMPORARY: "系统繁忙，请稍后重试",
}


class Refusal(Exception):
    """A business answer other than 200; travels as HTTP 200 with this code."""

    def __init__(self, code: int, message: str | None = None, **data: Any) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message or MESSAGES[code]
        self.data = data


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who signs: the requester id and the secret that goes with it."""

    rid: str
    secret: str


def check_profile(profile: str) -> str:
    """Refuse at start what this program cannot do, naming the way out."""
    if profile == "ref-sm":
        raise ValueError(
            "签名方案 ref-sm 需要 SM2 算法，本程序未带 SM2 实现；"
            "请改用 ref 或 gjzwfwpt，或由密码设备提供 SM2 后再启用。"
        )
    if profile not in PROFILES:
        raise ValueError(f"未知的签名方案 {profile}；可用：{'、'.join(PROFILES)}")
    return profile


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def signature(*, profile: str, secret: str, sid: str, rid: str, rtime: str, nonce: str, digest: str) -> str:
    """`gjzwfwpt` is the exact national formula and leaves the body unprotected; `ref` covers nonce and digest too."""
    text = sid + rid + rtime
    if profile == "ref":
        text += nonce + digest
    mac = hmac.new(secret.encode(), text.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def signed_headers(*, profile: str, who: Credentials, verb: str, body: bytes, now_ms: int) -> dict[str, str]:
    """Headers of a call that this platform makes."""
    rtime, nonce, digest, sid = str(now_ms), secrets.token_hex(16), digest_of(body), f"ycsl.{verb}"
    return {
        "content-type": "application/json; charset=utf-8",
        "gjzwfwpt_rid": who.rid,
        "gjzwfwpt_sid": sid,
        "gjzwfwpt_rtime": rtime,
        "gjzwfwpt_sign": signature(
            profile=profile, secret=who.secret, sid=sid, rid=who.rid, rtime=rtime, nonce=nonce, digest=digest
        ),
        "x-ycsl-nonce": nonce,
        "x-ycsl-digest": digest,
    }


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What a verified request proves."""

    rid: str
    nonce: str
    digest: str


def verify(
    *, profile: str, who: Credentials, verb: str, headers: Mapping[str, str], body: bytes, now_ms: int
) -> Signed:
    """Check everything that needs no memory; the caller still has to remember the nonce."""
    names = ("gjzwfwpt_rid", "gjzwfwpt_sid", "gjzwfwpt_rtime", "gjzwfwpt_sign", "x-ycsl-nonce", "x-ycsl-digest")
    values = [headers.get(name, "") for name in names]
    rid, sid, rtime, sign, nonce, digest = values
    missing = [name for name, value in zip(names, values, strict=True) if not value]
    if missing:
        raise Refusal(BAD_SIGNATURE, f"缺少请求头 {'、'.join(missing)}", reason="header")
    if not hmac.compare_digest(rid.encode(), who.rid.encode()):
        raise Refusal(BAD_SIGNATURE, "请求方未登记", reason="rid")
    if sid != f"ycsl.{verb}":
        raise Refusal(BAD_SIGNATURE, "服务编号与接口不一致", reason="sid")
    if not RTIME_SHAPE.fullmatch(rtime) or abs(now_ms - int(rtime)) > TIME_WINDOW_MS:
        raise Refusal(BAD_SIGNATURE, "请求时间超出允许范围", reason="rtime", serverTime=now_ms)
    if not NONCE_SHAPE.fullmatch(nonce):
        raise Refusal(BAD_SIGNATURE, "随机串格式不正确", reason="nonce")
    if not DIGEST_SHAPE.fullmatch(digest) or not hmac.compare_digest(digest, digest_of(body)):
        raise Refusal(BAD_SIGNATURE, "报文摘要不一致", reason="digest")
    expected = signature(profile=profile, secret=who.secret, sid=sid, rid=rid, rtime=rtime, nonce=nonce, digest=digest)
    if not hmac.compare_digest(sign.encode(), expected.encode()):
        raise Refusal(BAD_SIGNATURE, reason="sign")
    return Signed(rid=rid, nonce=nonce, digest=digest)


# -- the national profile writes every JSON key in lower case --------------------------------------------------

_CAMEL_NAMES = """
acceptDate acceptDocNo addressee applyDate applyType applyerName applyerPageCode applyerPageType applyerType areaCode
attachId attachIds authorityAttachId catalogCode cdOperation clientRef contactCode contactMobile contactName contactType
correctionNo dataVersion getNum getType inWay localCatalogCode localTaskCode materialId materialName nameCn orgCode
orgName pageCode pageType projPwd projectName projectNo projectType promiseDate regionCode relProjectNo taskCode
taskHandleItem taskName taskVersion waybillNo zipCode
"""
_CAMEL = {name.lower(): name for name in _CAMEL_NAMES.split()}


def lower_keys(value: Any) -> Any:
    """Every key of a JSON value in lower case."""
    if isinstance(value, dict):
        return {str(key).lower(): lower_keys(entry) for key, entry in value.items()}
    return [lower_keys(entry) for entry in value] if isinstance(value, list) else value


def camel_keys(value: Any) -> Any:
    """The reverse for the names of the contract; a key that is not in lower case is refused, unknown ones are kept."""
    if isinstance(value, dict):
        wrong = [str(key) for key in value if str(key) != str(key).lower()]
        if wrong:
            raise Refusal(REJECTED, errors=[{"field": key, "rule": "键名应为小写"} for key in wrong])
        return {_CAMEL.get(key, key): camel_keys(entry) for key, entry in value.items()}
    return [camel_keys(entry) for entry in value] if isinstance(value, list) else value
