"""Who may call `gateway.do`: common parameters, string to sign, certificate SNs, in the order the partner checks them."""

from dataclasses import dataclass, field

from sandbox.alipay_errors import AlipayError, invalid, missing
from sandbox.alipay_fields import METHODS, WAP_PAY
from sandbox.alipay_keys import AlipayKeys
from sandbox.alipay_signing import codec, is_signed, joined, read_pairs
from sandbox.alipay_times import parse_stamp
from sandbox.store import Doc

FORM = "application/x-www-form-urlencoded"


@dataclass(kw_only=True)
class Call:
    """One request to the gateway; `content` is read once the caller is known."""

    params: dict[str, str]
    charset: str = "utf-8"
    certificate: bool = False
    content: Doc = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The wire method, `""` when the request names none."""
        return self.params.get("method", "")

    @property
    def encoding(self) -> str:
        """The codec of the answer."""
        return codec(self.charset) or "utf-8"

    @property
    def number(self) -> str | None:
        """What the request is about, for faults and the log: the refund's number before the trade's."""
        for name in ("out_request_no", "out_trade_no", "trade_no", "bill_date"):
            if isinstance(self.content.get(name), str):
                return str(self.content[name])
        return None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the gateway believes in at this moment."""

    app_id: str
    key_mode: str
    now: float
    max_skew_s: float | None


def read_call(raw_query: str, body: bytes, content_type: str) -> tuple[Call, list[str]]:
    """The parameters of query and form body together, and the names that came twice. Raises AlipayError."""
    pairs = read_pairs(raw_query.encode("utf-8", "surrogateescape"))
    if content_type == FORM:
        pairs += read_pairs(body)
    charset = next((value.decode("ascii", "replace") for name, value in pairs if name == b"charset"), "utf-8")
    encoding = codec(charset) or "utf-8"
    try:
        decoded = [(name.decode(encoding), value.decode(encoding)) for name, value in pairs]
    except UnicodeDecodeError:
        raise invalid("encoding") from None
    params: dict[str, str] = {}
    twice = []
    for name, value in decoded:
        if name in params:
            twice.append(name)
        params[name] = value
    return Call(params=params, charset=charset if codec(charset) else "utf-8"), twice


def authenticate(call: Call, twice: list[str], keys: AlipayKeys, rules: Rules) -> None:
    """app_id, signature, sign_type, certificate SNs, and then the rest. Raises AlipayError; marks certificate mode."""
    params = call.params
    if not params.get("app_id"):
        raise missing("app-id")
    if params["app_id"] != rules.app_id:
        raise invalid("app-id")
    if twice:
        raise AlipayError("40002", "isv.invalid-parameter", f"参数重复：{'、'.join(sorted(set(twice)))}")
    if not params.get("sign"):
        raise missing("signature")
    base = joined(params, without=("sign",)).encode(call.encoding)
    if not is_signed(keys.app.key.public_key(), base, params["sign"]):
        raise invalid("signature")
    if not params.get("sign_type"):
        raise missing("signature-type")
    if params["sign_type"] != "RSA2":
        raise invalid("signature-type")
    call.certificate = _uses_certificates(params, keys, rules)
    _check_common(call, rules)


def _uses_certificates(params: dict[str, str], keys: AlipayKeys, rules: Rules) -> bool:
    named = bool(params.get("app_cert_sn") or params.get("alipay_root_cert_sn"))
    if rules.key_mode == "key":
        return False
    if rules.key_mode == "both" and not named:
        return False
    if not params.get("app_cert_sn"):
        raise missing("app-cert-sn")
    if not params.get("alipay_root_cert_sn"):
        raise missing("alipay-root-cert-sn")
    if params["app_cert_sn"] != keys.app.sn:
        raise AlipayError("40002", "isv.app-cert-not-exist")
    if params["alipay_root_cert_sn"] != keys.root_sn:
        raise invalid("alipay-root-cert-sn")
    if rules.now > keys.app.certificate.not_valid_after_utc.timestamp():
        raise AlipayError("40002", "isv.app-cert-expired")
    return True


def _check_common(call: Call, rules: Rules) -> None:
    params = call.params
    if not call.method:
        raise missing("method")
    if call.method not in METHODS:
        raise invalid("method")
    if params.get("version") != "1.0":
        raise invalid("version") if params.get("version") else missing("version")
    if params.get("format", "JSON").upper() != "JSON":
        raise invalid("format")
    if codec(params.get("charset", "")) is None:
        raise invalid("charset")
    if not params.get("timestamp"):
        raise missing("timestamp")
    at = parse_stamp(params["timestamp"])
    # A signed payment page may be opened long after it was signed: its own time_expire ends it.
    early_only = call.method == WAP_PAY
    if at is None or (rules.max_skew_s is not None and _too_far(at - rules.now, rules.max_skew_s, early_only)):
        raise invalid("timestamp")


def _too_far(ahead_s: float, most_s: float, early_only: bool) -> bool:
    return ahead_s > most_s or (ahead_s < -most_s and not early_only)
