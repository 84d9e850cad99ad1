"""Decodes one uploaded picture, apart from everything else: a program limited to 768 MB and 10 s that knows no secret.

`python -I decoding.py photo SOURCE FOLDER SIZE…` writes `SIZE.webp` squares, `picture SOURCE FOLDER SIZE…` whole ones
that are no longer than this, `document SOURCE FOLDER` and `attachment SOURCE FOLDER` one `page.jpg`.
What is written is a copy of the pixels: no metadata, no comment, nothing that stood behind the picture. It ends with 0,
or with 3 and one sentence that says why not; any other end means that the limits did. It imports nothing of ours.
"""

import io
import resource
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

MEMORY_BYTES = 768 * 1024 * 1024
CPU_SECONDS = 10
OUTPUT_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 25_000_000
PICTURES = ("JPEG", "PNG", "WEBP", "GIF")
FORMATS = {"photo": PICTURES, "picture": PICTURES, "attachment": PICTURES, "document": ("JPEG", "PNG")}
REFUSED = 3
LANCZOS = Image.Resampling.LANCZOS


class Refused(Exception):
    """The picture is not taken; the message is for whoever sent it."""


def main(arguments: Sequence[str]) -> int:
    """Set the limits before a byte of the file is read, then do the work."""
    purpose, source, folder, *sizes = arguments
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    try:
        picture, profile = read(Path(source), purpose, least=max(map(int, sizes), default=0))
        if purpose == "photo":
            write_squares(picture, profile, Path(folder), sorted(map(int, sizes), reverse=True))
        elif purpose == "picture":
            write_whole(picture, profile, Path(folder), sorted(map(int, sizes), reverse=True))
        else:
            write_page(picture, profile, Path(folder))
    except Refused as refusal:
        return _refuse(str(refusal))
    except MemoryError:
        return _refuse("It needs too much memory.")
    except Exception:  # noqa: BLE001 - decoders raise whatever they like over what they were never meant to read
        return _refuse("It is damaged, or no picture of a kind that is taken.")
    return 0


def _refuse(sentence: str) -> int:
    sys.stdout.write(sentence)
    return REFUSED


def read(source: Path, purpose: str, *, least: int) -> tuple[Image.Image, bytes | None]:
    """The picture the right way up, eight bits a channel, and its colour profile.

    Where `least` pixels a side are enough, a large JPEG is read at a half, a quarter or an eighth of its size.
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        opened = Image.open(source, formats=FORMATS[purpose])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    with opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise _too_many_pixels()
        if least:
            opened.draft("RGB", (least, least))
        opened.load()
        profile = opened.info.get("icc_profile")
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I;16"):  # Pillow would clip sixteen bits instead of scaling them
        picture = picture.point(lambda value: value / 256).convert("L")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB"), profile


def _too_many_pixels() -> Refused:
    return Refused(f"It has more than {MAX_PIXELS // 1_000_000} megapixels.")


def write_squares(picture: Image.Image, profile: bytes | None, folder: Path, sizes: Sequence[int]) -> None:
    """The middle of the picture, the largest size first; the smaller ones are made of it."""
    for place, size in enumerate(sizes):
        picture = ImageOps.fit(picture, (size, size), LANCZOS)
        if place == 0:
            picture = _as_on_screen(picture, profile)
        _copy(picture).save(folder / f"{size}.webp", "WEBP", quality=85, method=4)


def write_whole(picture: Image.Image, profile: bytes | None, folder: Path, sizes: Sequence[int]) -> None:
    """The whole picture, its longer side at most so many pixels; small ones stay small."""
    for place, size in enumerate(sizes):
        picture = ImageOps.contain(picture, (min(size, picture.width), min(size, picture.height)), LANCZOS)
        if place == 0:
            picture = _as_on_screen(picture, profile)
        _copy(picture).save(folder / f"{size}.webp", "WEBP", quality=85, method=4)


def write_page(picture: Image.Image, profile: bytes | None, folder: Path) -> None:
    """The whole picture at its own size, on white."""
    page = Image.new("RGB", picture.size, "white")
    page.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    _copy(_as_on_screen(page, profile)).save(folder / "page.jpg", "JPEG", quality=90)


def _as_on_screen(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours in sRGB, which is what shows them without a profile; a profile that is nonsense is left out."""
    if not profile:
        return picture
    try:
        given, screen = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, given, screen, outputMode=picture.mode) or picture
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture


def _copy(picture: Image.Image) -> Image.Image:
    """The pixels and nothing else: what a file says beside them stays in `info`, and would be written again."""
    plain = Image.new(picture.mode, picture.size)
    plain.paste(picture)
    return plain


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
