"""The web page behind the QR code of a paper. No scripts, no foreign host, nothing for search engines to keep."""

import html

import payments
from backend.papers.registry import PaperView
from kernel import clock

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Robots-Tag": "noindex",
}
_STYLE = (
    "body{font:17px/1.7 sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem;color:#1f2933}h1{font-size:1.3rem}"
    "dl{border-top:2px solid #1f2933;margin:0}div{display:flex;border-bottom:1px solid #d5dce1;padding:.5rem 0}"
    "dt{width:6rem;color:#5b6770;flex:none}dd{margin:0;overflow-wrap:anywhere}p{color:#5b6770;font-size:.95rem}"
)
_BEWARE = "请核对纸面内容与本页是否一致。本页不会要求您付款、登录或填写个人信息。"


def known(paper: PaperView) -> bytes:
    """What the holder of the paper may know of it now."""
    facts = [
        ("种类", paper.kind_label),
        ("出具单位", paper.issuer),
        ("事由", paper.title),
        ("当事人", paper.holder_mask),
        ("金额", _money(paper.amount_fen)),
        ("已退金额", _money(paper.returned_fen)),
        ("日期", f"{clock.local(paper.issued_at):%Y年%m月%d日}"),
        ("现在的状态", paper.status_label),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{html.escape(text)}</dd></div>" for name, text in facts if text)
    return _whole("核验通过：这份凭证由本系统出具", f"<dl>{rows}</dl><p>{_BEWARE}</p>")


def unknown() -> bytes:
    """The same page for every code that is no paper's."""
    return _whole("没有这份凭证", "<p>请核对核验码。如果纸面上的二维码指向本页，这份凭证不是本系统出具的。</p>")


def _whole(heading: str, body: str) -> bytes:
    return (
        "<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>凭证核验</title><style>{_STYLE}</style><h1>{heading}</h1>{body}</html>"
    ).encode()


def _money(amount_fen: int | None) -> str:
    return f"{payments.yuan_text(amount_fen)} 元" if amount_fen else ""
