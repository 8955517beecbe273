"""Settings of the one-window adapter: where the platform is, who we are to each other, and its local code lists."""

from dataclasses import dataclass

from backend.cases.ports import Outcome
from kernel.config import setting

RESULT_CODES = ("0", "1", "2", "3", "5", "6", "7")


def _profile(text: str) -> str:
    if text == "ref-sm":
        raise ValueError("签名方案 ref-sm 需要 SM2，本版本没有 SM2 实现；请与平台约定 ref 或 gjzwfwpt")
    if text not in ("ref", "gjzwfwpt"):
        raise ValueError("签名方案只能是 ref 或 gjzwfwpt")
    return text


def _result_codes(text: str) -> tuple[tuple[str, Outcome], ...]:
    pairs: list[tuple[str, Outcome]] = []
    for part in text.split(","):
        code, colon, word = part.strip().partition(":")
        if not colon or word not in [outcome.value for outcome in Outcome]:
            raise ValueError(f"“{part}”应写成 代码:结果，结果只能是 {'、'.join(o.value for o in Outcome)}")
        pairs.append((code, Outcome(word)))
    if len({code for code, _ in pairs}) != len(pairs):
        raise ValueError("同一个代码出现了两次")
    missing = set(Outcome) - {outcome for _, outcome in pairs}
    if missing:
        raise ValueError(f"没有代码对应 {'、'.join(sorted(missing))}")
    return tuple(pairs)


# BJJGDM as used by the reference contract. Code 1 fits two ends and is therefore left to a person.
_DEFAULT_RESULTS = _result_codes("0:granted,6:granted,7:refused,5:returned,2:void,3:void")


@dataclass(frozen=True, kw_only=True)
class OneWindowSettings:
    """The line to the platform. For its calls to us the roles of requester id and secret are swapped."""

    base_url: str = setting("ONEWINDOW_BASE_URL", help="一窗受理平台的地址，例如 https://yichuang.example.gov.cn")
    rid: str = setting("ONEWINDOW_RID", help="平台分配给本系统的请求方编号")
    secret: str = setting(
        "ONEWINDOW_SECRET",
        help="本系统调用平台时的签名密钥（请放在 ONEWINDOW_SECRET_FILE 所指的文件里）",
        secret=True,
    )
    platform_rid: str = setting("ONEWINDOW_PLATFORM_RID", help="平台回调本系统时使用的请求方编号")
    platform_secret: str = setting(
        "ONEWINDOW_PLATFORM_SECRET",
        help="平台回调本系统时的签名密钥（请放在 ONEWINDOW_PLATFORM_SECRET_FILE 所指的文件里）",
        secret=True,
    )
    profile: str = setting(
        "ONEWINDOW_PROFILE",
        help="签名方案：ref 覆盖报文；gjzwfwpt 为国家平台原方案，不覆盖报文，只在平台不支持 ref 时使用",
        default="ref",
        parse=_profile,
    )
    give_up_hours: float = setting(
        "ONEWINDOW_GIVE_UP_HOURS",
        help="平台连续多少小时送不到就停止重试并交人工处理",
        default=72.0,
        minimum=1,
        maximum=720,
    )
    result_codes: tuple[tuple[str, Outcome], ...] = setting(
        "ONEWINDOW_RESULT_CODES",
        help="办结结果代码与结果的对应，写成 代码:结果，用逗号分开；没有列出的代码交人工判断",
        default=_DEFAULT_RESULTS,
        parse=_result_codes,
    )
    hold_types: tuple[str, ...] = setting(
        "ONEWINDOW_HOLD_TYPES", help="表示“挂起”的暂停类型代码，其余都按特别程序处理", default=("3", "挂起")
    )
