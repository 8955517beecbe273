"""What a file really is, by its first bytes, and what to tell a person whose file we cannot take.

No picture is decoded here.
"""

from typing import ClassVar

from kernel.problems import Problem

HEAD_BYTES = 4096
JPEG, PNG, WEBP = "JPEG", "PNG", "WEBP"
MIME = {JPEG: "image/jpeg", PNG: "image/png", WEBP: "image/webp"}


class PhotoRefused(Problem):
    """A file that is not kept; `reason` is the stable word stored with the refused material."""

    status, code, title = 415, "photo-refused", "这份文件不能使用"
    reason: ClassVar[str] = "refused"


class PhotoEmpty(PhotoRefused):
    status, code, title = 422, "photo-empty", "文件是空的，请重新拍照上传"
    reason = "empty"


class PhotoUnknownKind(PhotoRefused):
    code, title = "photo-unknown-kind", "无法识别这个文件，请上传手机拍摄的照片（JPG 或 PNG）"
    reason = "unknown-kind"


class PhotoHeic(PhotoRefused):
    code, title = (
        "photo-heic",
        "这是 HEIC 格式的照片，暂时不能使用。请在苹果手机“设置－相机－格式”中选“兼容性最佳”后重拍，"
        "或直接用小程序拍照上传",
    )
    reason = "heic"


class PhotoSvg(PhotoRefused):
    code, title = "photo-svg", "这是矢量图（SVG），不能使用。请上传手机拍摄的照片（JPG 或 PNG）"
    reason = "svg"


class PhotoGif(PhotoRefused):
    code, title = "photo-gif", "这是 GIF 图片，不能使用。请上传手机拍摄的照片（JPG 或 PNG）"
    reason = "gif"


class PhotoPdf(PhotoRefused):
    code, title = "photo-pdf", "这里不能上传 PDF 文件。请把每一页拍成照片后上传"
    reason = "pdf"


class PhotoBmp(PhotoRefused):
    code, title = "photo-bmp", "这是 BMP 或 TIFF 图片，不能使用。请另存为 JPG 后上传，或用手机拍照上传"
    reason = "bmp"


class PhotoVideo(PhotoRefused):
    code, title = "photo-video", "这是视频，不能使用。请拍一张照片上传（苹果手机请关闭“实况”）"
    reason = "video"


class PhotoDocument(PhotoRefused):
    code, title = "photo-document", "这是文档或压缩包，不能使用。请打开后逐页拍照上传"
    reason = "document"


class PhotoWebPage(PhotoRefused):
    code, title = "photo-web-page", "这是网页或程序文件，不能使用。请上传手机拍摄的照片（JPG 或 PNG）"
    reason = "web-page"


class PhotoDamaged(PhotoRefused):
    status, code, title = 422, "photo-damaged", "照片没有传完整或已损坏，请重新拍照上传"
    reason = "damaged"


class PhotoMisnamed(PhotoRefused):
    code, title = "photo-misnamed", "照片内容与格式不一致，请重新拍照上传"
    reason = "misnamed"


class PhotoAnimated(PhotoRefused):
    code, title = "photo-animated", "这是动图，不能使用。请上传一张静止的照片"
    reason = "animated"


class PhotoTooManyPixels(PhotoRefused):
    status, code, title = (
        413,
        "photo-too-many-pixels",
        "照片的尺寸太大。请把手机相机的分辨率调低后重拍，或用小程序拍照上传",
    )
    reason = "too-many-pixels"


class PhotoTooSmall(PhotoRefused):
    status, code, title = 422, "photo-too-small", "照片太小，看不清楚。请靠近一些重新拍照上传"
    reason = "too-small"


class PhotoTooHeavy(PhotoRefused):
    status, code, title = 422, "photo-too-heavy", "这张照片无法处理。请重新拍照上传，不要使用经过特殊软件处理的图片"
    reason = "too-heavy"


REFUSALS: dict[str, type[PhotoRefused]] = {
    refusal.reason: refusal
    for refusal in (
        PhotoEmpty,
        PhotoUnknownKind,
        PhotoHeic,
        PhotoSvg,
        PhotoGif,
        PhotoPdf,
        PhotoBmp,
        PhotoVideo,
        PhotoDocument,
        PhotoWebPage,
        PhotoDamaged,
        PhotoMisnamed,
        PhotoAnimated,
        PhotoTooManyPixels,
        PhotoTooSmall,
        PhotoTooHeavy,
    )
}

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_STARTS: tuple[tuple[bytes, type[PhotoRefused]], ...] = (
    (b"GIF8", PhotoGif),
    (b"%PDF", PhotoPdf),
    (b"BM", PhotoBmp),
    (b"II*\x00", PhotoBmp),
    (b"MM\x00*", PhotoBmp),
    (b"PK\x03\x04", PhotoDocument),
    (b"PK\x05\x06", PhotoDocument),
    (b"\xd0\xcf\x11\xe0", PhotoDocument),
    (b"\x1f\x8b", PhotoDocument),
    (b"Rar!", PhotoDocument),
    (b"7z\xbc\xaf", PhotoDocument),
    (b"{\\rtf", PhotoDocument),
    (b"%!PS", PhotoDocument),
    (b"\x1aE\xdf\xa3", PhotoVideo),
    (b"RIFF", PhotoVideo),
    (b"MZ", PhotoWebPage),
    (b"\x7fELF", PhotoWebPage),
    (b"#!", PhotoWebPage),
)


def sniff(head: bytes) -> str:
    """JPEG, PNG or WEBP, judged by content alone. Raises the PhotoRefused that tells what to do instead.

    A first filter only: a file may begin like a picture and go on as something else, which the decoder finds out.
    """
    if not head:
        raise PhotoEmpty
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        raise PhotoHeic if head[8:12] in _HEIC_BRANDS else PhotoVideo
    for start, refusal in _STARTS:
        if head.startswith(start):
            raise refusal
    raise _text_kind(head)()


def _text_kind(head: bytes) -> type[PhotoRefused]:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text:
        return PhotoSvg
    if text.startswith((b"<", b"<?")) or b"<script" in text or b"<?php" in text or b"<html" in text:
        return PhotoWebPage
    return PhotoUnknownKind
