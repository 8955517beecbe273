"""Settings of the papers slice."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class PapersSettings:
    """Where strangers verify a paper."""

    public_url: str = setting(
        "PAPERS_PUBLIC_URL",
        help="群众从外网访问本系统的地址，印在凭证的二维码里，例如 https://zsb.example.gov.cn；不填则凭证只印核验码，没有二维码",
        default="",
    )

    def __post_init__(self) -> None:
        """An address that phones could not open."""
        if not self.public_url:
            return
        url = urlsplit(self.public_url)
        if url.scheme not in ("https", "http") or not url.hostname or url.query or url.fragment or url.username:
            raise ValueError("PAPERS_PUBLIC_URL 必须是完整地址，不带参数和口令")
        if len(self.public_url) > 100:
            raise ValueError("PAPERS_PUBLIC_URL 不能超过 100 个字符，否则二维码太密")

    def production_complaints(self) -> list[str]:
        """What may not be in production."""
        if not self.public_url:
            return ["PAPERS_PUBLIC_URL：正式环境必须填写，否则凭证上没有核验二维码"]
        return [] if self.public_url.startswith("https://") else ["PAPERS_PUBLIC_URL：正式环境必须是 https 地址"]

    def address(self, code: str) -> str:
        """Where the QR code leads; "" without a public address. The code is all that stands in it."""
        return f"{self.public_url.rstrip('/')}/verify/{code}" if self.public_url else ""
