"""The child that decodes photos.

Started as a program of its own, it imports nothing of ours and may be killed at any moment.

It reads one JSON line per photo on standard input and answers one JSON line. Its limits are set on itself before the
first byte of a stranger's file is read: processor seconds per photo, memory, size of written files, no core dumps.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

MEGA = 1_000_000
MAX_JPEG_PIXELS = 40 * MEGA
MAX_OTHER_PIXELS = 16 * MEGA
MAX_SIDE = 10_000
MIN_SIDE = 16
MAX_JPEG_SCANS = 200
PHOTO_SIDE = 1600
THUMBNAIL_SIDE = 320
QUALITY = 82
CPU_SECONDS = 5
MEMORY_BYTES = 1 << 30
WRITTEN_BYTES = 32 << 20


class RefusedError(Exception):
    """The photo is not taken; the argument is the stable reason that the parent knows."""


def limit_process() -> None:
    """Limits that hold for the whole life of the child."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN_BYTES, WRITTEN_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)


def limit_photo() -> None:
    """A fresh allowance of processor seconds.

    The limit counts the whole life of a process, so it moves with what was used.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))


def check_header(image: Any, kind: str, source: Path) -> None:
    """Everything that can be judged before a pixel is decoded."""
    width, height = image.size
    # Telephones write JPEGs with a second, smaller picture behind the first (MPO); the first one is the photo.
    if image.format != kind and (image.format, kind) != ("MPO", "JPEG"):
        raise RefusedError("misnamed")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise RefusedError("animated")
    if min(width, height) < MIN_SIDE:
        raise RefusedError("too-small")
    pixels = MAX_JPEG_PIXELS if kind == "JPEG" else MAX_OTHER_PIXELS
    if width * height > pixels or max(width, height) > MAX_SIDE:
        raise RefusedError("too-many-pixels")
    # A progressive JPEG of a few hundred kilobytes can hold thousands of scans, each as costly as the whole picture.
    if kind == "JPEG" and source.read_bytes().count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise RefusedError("too-heavy")


def to_rgb(image: Any) -> Any:
    """Plain RGB: transparency becomes white paper, 16-bit grey is scaled down instead of clipped."""
    from PIL import Image

    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", layer.size, (255, 255, 255))
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image.convert("RGB")


def make_photo(source: Path, kind: str, photo: Path, thumbnail: Path) -> dict[str, Any]:
    """Decode, turn upright, shrink, and write two new JPEGs made of nothing but pixels."""
    from PIL import Image, ImageOps

    formats = (kind,)
    with Image.open(source, formats=formats) as image:
        check_header(image, kind, source)
        width, height = image.size
        if kind == "JPEG":
            image.draft("RGB", (PHOTO_SIDE, PHOTO_SIDE))
        image.load()
        orientation = image.getexif().get(0x0112, 1)
        image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
        upright = to_rgb(ImageOps.exif_transpose(image))
    clean = Image.new("RGB", upright.size)
    clean.paste(upright)  # new pixels without any of the source's metadata
    clean.save(photo, "JPEG", quality=QUALITY, optimize=True)
    small = clean.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    small.save(thumbnail, "JPEG", quality=QUALITY, optimize=True)
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return {
        "width": clean.width,
        "height": clean.height,
        "source_width": width,
        "source_height": height,
        "thumbnail_width": small.width,
        "thumbnail_height": small.height,
    }


def answer(order: dict[str, str]) -> dict[str, Any]:
    """The answer to one order.

    Decoders raise anything at all, so everything is a damaged photo unless we said otherwise.
    """
    try:
        limit_photo()
        return make_photo(Path(order["source"]), order["kind"], Path(order["photo"]), Path(order["thumbnail"]))
    except RefusedError as refusal:
        return {"refused": str(refusal)}
    except MemoryError:
        return {"refused": "too-many-pixels"}
    except Exception as error:
        bomb = "DecompressionBomb" in type(error).__name__
        return {"refused": "too-many-pixels" if bomb else "damaged"}


def main() -> None:
    """Answer orders until standard input ends, which it also does when the parent dies."""
    import warnings

    from PIL import Image

    limit_process()
    Image.MAX_IMAGE_PIXELS = MAX_JPEG_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
