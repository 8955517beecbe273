"""A corpus of pictures nobody should send, generated here, never downloaded. Each entry says how it must be refused."""

import io
import struct
import zipfile
import zlib

from PIL import Image


def jpeg(width=640, height=480, *, quality=90, exif=None, colour=(200, 30, 30), mode="RGB", **options):
    picture = Image.new(mode, (width, height), colour if mode == "RGB" else 128)
    buffer = io.BytesIO()
    if exif is not None:
        options["exif"] = exif
    picture.save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def png(width=640, height=480, *, mode="RGB", colour=(10, 200, 10)):
    buffer = io.BytesIO()
    Image.new(mode, (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def webp(width=640, height=480, **options):
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).convert("RGB").save(buffer, "WEBP", **options)
    return buffer.getvalue()


def photo_with_gps(orientation=6):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SecretPhone"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (40.0, 17.0, 30.0)
    return jpeg(640, 480, exif=exif)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width, height, *, depth=8, colour_type=2, body=b"", extra=b""):
    """A PNG whose header says one thing, with whatever data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = chunk(b"IDAT", body or zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


def png_120_megapixels():
    """14 kB that would be 120 million pixels: below twice Pillow's own limit, so its default only warns."""
    body = zlib.compress(b"\0" * (12_000 * 10_000 // 8 + 10_000), 9)
    return png_claiming(12_000, 10_000, depth=1, colour_type=0, body=body)


def jpeg_with_scans(scans):
    """A progressive JPEG whose last scan is repeated: small in bytes, ruinous in processor time."""
    source = jpeg(1200, 1200, progressive=True)
    last = source.rindex(b"\xff\xda")
    return source[:last] + source[last:-2] * scans + b"\xff\xd9"


def animated(kind):
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), (n, n, n)) for n in (0, 99, 200)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def mpo():
    """What many telephones call a JPEG: the photo, and a second picture behind it."""
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (640, 480), (n, n, n)) for n in (10, 90)]
    frames[0].save(buffer, "MPO", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def zip_bytes():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    return buffer.getvalue()


def other_format(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, kind)
    return buffer.getvalue()


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1" + b"\0" * 200

# name -> (bytes, the stable code of the refusal)
REFUSED = {
    "empty": (b"", "photo-empty"),
    "svg": (SVG, "photo-svg"),
    "svg with a byte order mark": (b"\xef\xbb\xbf  <SVG onload=alert(1)>", "photo-svg"),
    "web page called photo.jpg": (b"<!DOCTYPE html><html><script>1</script></html>", "photo-web-page"),
    "php": (b"<?php system($_GET['x']); ?>", "photo-web-page"),
    "gif that is also a script": (b"GIF89a/*" + b"\0" * 60 + b"*/=1;alert(1)//", "photo-gif"),
    "heic": (HEIC, "photo-heic"),
    "avif": (b"\x00\x00\x00\x18ftypavif" + b"\0" * 64, "photo-heic"),
    "video": (b"\x00\x00\x00\x18ftypmp42" + b"\0" * 64, "photo-video"),
    "pdf": (b"%PDF-1.7\n1 0 obj<</OpenAction 2 0 R>>", "photo-pdf"),
    "pdf with a picture behind": (b"%PDF-1.4\n" + jpeg(), "photo-pdf"),
    "document": (zip_bytes(), "photo-document"),
    "compressed": (b"\x1f\x8b\x08" + b"\0" * 40, "photo-document"),
    "program": (b"\x7fELF\x02\x01\x01" + b"\0" * 60, "photo-web-page"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "photo-document"),
    "bmp": (other_format("BMP"), "photo-bmp"),
    "tiff": (other_format("TIFF"), "photo-bmp"),
    "noise": (bytes(range(255, 0, -1)) * 40, "photo-unknown-kind"),
    "only the first bytes of a JPEG": (b"\xff\xd8\xff\xe0" + b"\0" * 20, "photo-damaged"),
    "JPEG head, script body": (b"\xff\xd8\xff\xe0/*<script>alert(1)</script>" + b"A" * 999, "photo-damaged"),
    "PNG head, GIF body": (b"\x89PNG\r\n\x1a\n" + other_format("GIF"), "photo-damaged"),
    "JPEG cut in half": (jpeg(800, 800, quality=95)[: len(jpeg(800, 800, quality=95)) // 2], "photo-damaged"),
    "PNG cut": (png()[:-40], "photo-damaged"),
    "WEBP cut": (webp()[:400], "photo-damaged"),
    "PNG with a wrong checksum": (png().replace(b"IDAT", b"IDAU"), "photo-damaged"),
    "PNG of no size": (png_claiming(0, 0), "photo-damaged"),
    "PNG of 120 megapixels": (png_120_megapixels(), "photo-too-many-pixels"),
    "PNG of 50,000 squared": (png_claiming(50_000, 50_000), "photo-too-many-pixels"),
    "a line of 500,000 pixels": (png_claiming(500_000, 20, depth=1, colour_type=0), "photo-too-many-pixels"),
    "PNG of 10,001 by 100": (png_claiming(10_001, 100), "photo-too-many-pixels"),
    "PNG of 25 megapixels": (png_claiming(5_000, 5_000), "photo-too-many-pixels"),
    "PNG bomb in a text chunk": (
        png_claiming(100, 100, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 80_000_000, 9))),
        "photo-damaged",
    ),
    "PNG bomb in a colour profile": (
        png_claiming(100, 100, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * 80_000_000, 9))),
        "photo-damaged",
    ),
    "thousands of scans": (jpeg_with_scans(3_000), "photo-too-heavy"),
    "animated PNG": (animated("PNG"), "photo-animated"),
    "animated WEBP": (animated("WEBP"), "photo-animated"),
    "one pixel": (png(1, 1), "photo-too-small"),
}

MARK = b"<?php foreign-bytes ?>"
# name -> bytes: pictures that are taken, and come out as nothing but pixels.
CLEANED = {
    "plain JPEG": jpeg(),
    "plain PNG": png(),
    "plain WEBP": webp(),
    "JPEG with a script behind": jpeg() + MARK,
    "JPEG with an archive behind": jpeg() + zip_bytes() + MARK,
    "JPEG with a comment": jpeg(comment=MARK),
    "PNG with text": png_claiming(
        32, 32, body=zlib.compress((b"\0" + b"\x40" * 96) * 32), extra=chunk(b"tEXt", b"Comment\0" + MARK)
    ),
    "PNG with transparency": png(mode="RGBA", colour=(1, 2, 3, 0)),
    "PNG with a palette": png(mode="P", colour=3),
    "PNG in 16-bit grey": png(mode="I;16", colour=40_000),
    "grey JPEG": jpeg(mode="L"),
    "phone JPEG with two pictures": mpo(),
    "broken EXIF": jpeg(exif=b"Exif\0\0" + b"II*\0\xff\xff\xff\xff" + MARK),
    "10,000 pixels wide": png(10_000, 100),
    "PNG of 16 megapixels": png(4_000, 4_000, mode="L", colour=9),
}
