"""Real result papers for the sandbox window: a one-page PDF written by hand and a small JPEG; no platform state.

The PDF names the predefined Chinese font of the PDF standard instead of embedding one, which every reader resolves.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

PDF_MIME = "application/pdf"
JPEG_MIME = "image/jpeg"


def certificate_pdf(*, title: str, lines: Sequence[str]) -> bytes:
    """One A4 page: a centred title and left-aligned lines; the same words give the same bytes."""
    content = [_line(title, size=24, x=297 - 12 * len(title), y=740)]
    content += [_line(text, size=14, x=90, y=680 - 28 * index) for index, text in enumerate(lines)]
    stream = "\n".join(content).encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [6 0 R] >>",
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light"
        b" /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> /FontDescriptor 7 0 R >>",
        b"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880]"
        b" /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>",
    ]
    return _assemble(objects)


def _line(text: str, *, size: int, x: int, y: int) -> str:
    return f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm <{text.encode('utf-16-be').hex()}> Tj ET"


def _assemble(objects: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for offset in offsets:
        out.write(b"%010d 00000 n \n" % offset)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def certificate_jpeg(*, number: str) -> bytes:
    """A small scanned-looking card with the certificate number on it."""
    card = Image.new("RGB", (860, 540), (250, 240, 220))
    draw = ImageDraw.Draw(card)
    draw.rectangle((20, 20, 840, 520), outline=(170, 20, 20), width=6)
    draw.text((60, 60), f"CERTIFICATE {number}", fill=(30, 30, 30))
    draw.ellipse((620, 330, 790, 500), outline=(200, 0, 0), width=8)
    out = io.BytesIO()
    card.save(out, "JPEG", quality=85)
    return out.getvalue()


def seal_of(data: bytes, *, good: bool = True) -> str:
    """A stand-in for a detached signature: says which bytes were sealed; `good=False` seals other bytes."""
    return "sha256:" + hashlib.sha256(data if good else data + b"!").hexdigest()
