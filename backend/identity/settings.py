"""Settings of the identity slice: how long sessions live, how often people may try, and where the population
register is.
"""

from dataclasses import dataclass

from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class IdentitySettings:
    """Sessions and counted tries."""

    access_idle_minutes: int = setting(
        "SESSION_IDLE_MINUTES", help="登录后多少分钟没有操作就要换新令牌", default=30, minimum=5, maximum=120
    )
    session_days: int = setting(
        "SESSION_DAYS", help="群众一次登录最长保持多少天，到期重新登录", default=7, minimum=1, maximum=30
    )
    field_session_hours: int = setting(
        "FIELD_SESSION_HOURS", help="快递员、代办员一次登录最长保持多少小时", default=12, minimum=1, maximum=24
    )
    verify_tries_per_day: int = setting(
        "IDENTITY_TRIES_PER_DAY", help="一个账号一天最多核验几次身份信息", default=5, minimum=1, maximum=50
    )
    verify_tries_per_number: int = setting(
        "IDENTITY_TRIES_PER_NUMBER",
        help="一个身份证号码一天最多被核验几次，不分账号",
        default=10,
        minimum=1,
        maximum=100,
    )
    phone_tries_per_day: int = setting(
        "PHONE_TRIES_PER_DAY", help="一个账号一天最多换绑几次手机号", default=10, minimum=1, maximum=50
    )
    field_login_tries: int = setting(
        "FIELD_LOGIN_TRIES",
        help="快递员、代办员在同一个网络 15 分钟内最多输错几次密码",
        default=5,
        minimum=3,
        maximum=20,
    )


@dataclass(frozen=True, kw_only=True)
class RegisterSettings:
    """The population register (人口库核验接口)."""

    base_url: str = setting("REGISTER_BASE_URL", help="人口库核验接口的地址，例如 https://renkou.example.gov.cn")
    app_id: str = setting("REGISTER_APP_ID", help="人口库分配给本系统的应用编号")
    secret: str = setting(
        "REGISTER_SECRET", help="人口库分配的签名密钥（请放在 REGISTER_SECRET_FILE 所指的文件里）", secret=True
    )
