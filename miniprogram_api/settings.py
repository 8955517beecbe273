"""Settings of the HTTP edge."""

from dataclasses import dataclass
from pathlib import Path

from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """Where this process listens and how much it takes on."""

    host: str = setting("API_HOST", help="监听地址；对外服务一律经过 nginx，这里只听本机", default="127.0.0.1")
    port: int = setting("API_PORT", help="监听端口", default=8000, minimum=0, maximum=65535)
    socket: Path | None = setting("API_SOCKET", help="改为监听 unix 套接字文件（生产环境，每个进程一个）", default=None)
    proxies: int = setting(
        "API_PROXIES", help="前面有几层可信的反向代理（nginx 为 1，直连为 0）", default=0, minimum=0, maximum=5
    )
    most_in_flight: int = setting(
        "API_MOST_IN_FLIGHT",
        help="同时处理的请求数上限；超过后先拒绝查询，再拒绝提交",
        default=256,
        minimum=8,
        maximum=10000,
    )
    deadline_seconds: float = setting(
        "API_DEADLINE_SECONDS", help="一次请求最多处理多少秒（上传另算）", default=12, minimum=1, maximum=60
    )
    cors_origins: tuple[str, ...] = setting("API_CORS_ORIGINS", help="允许跨域的网页来源（H5），逗号分隔", default=())
