"""Settings of the floor that every process needs: database and deployment kind."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """Where the database is and how long we are willing to wait for it."""

    url: str = setting(
        "DATABASE_URL",
        help="数据库地址：sqlite:////绝对路径/zsb.sqlite3，或 postgres://用户@主机:端口/库名（口令写在地址里时请改用 DATABASE_URL_FILE）",
        secret=True,
    )
    pool_size: int = setting(
        "DATABASE_POOL_SIZE", help="每个进程的连接数（PostgreSQL）", default=12, minimum=1, maximum=64
    )
    command_seconds: float = setting(
        "DATABASE_COMMAND_SECONDS", help="一条语句最多等待的秒数（PostgreSQL）", default=2.0, minimum=0.1, maximum=60
    )
    acquire_seconds: float = setting(
        "DATABASE_ACQUIRE_SECONDS", help="等待空闲连接的最长秒数（PostgreSQL）", default=0.5, minimum=0.05, maximum=30
    )
    busy_ms: int = setting(
        "DATABASE_BUSY_MS", help="SQLite 文件被占用时最多等待的毫秒数", default=5000, minimum=0, maximum=60000
    )
    synchronous: str = setting(
        "SQLITE_SYNCHRONOUS",
        help="SQLite 落盘方式；FULL 断电不丢已确认的数据，OFF 只用于一次性的测试库",
        default="FULL",
        choices=("FULL", "EXTRA", "OFF"),
    )

    def __post_init__(self) -> None:
        """Refuses what neither engine understands before anything is opened."""
        if not self.url.startswith(("sqlite://", "postgres://", "postgresql://", "asyncpg://")):
            raise ValueError("DATABASE_URL 必须以 sqlite:// 或 postgres:// 开头")
        try:
            urlsplit(self.url).port  # noqa: B018 - reading it is the check
        except ValueError:
            raise ValueError("DATABASE_URL 的端口不是数字") from None


@dataclass(frozen=True, kw_only=True)
class DeploymentSettings:
    """Which checks apply, never how the product behaves."""

    deployment: str = setting(
        "DEPLOYMENT",
        help="embedded 为开发演示；production 会拒绝沙箱地址、非 https 的回调地址等",
        default="embedded",
        choices=("embedded", "production"),
    )
    data_folder: Path = setting("DATA_FOLDER", help="本机文件（照片、临时文件）所在的文件夹")
