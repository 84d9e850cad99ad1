"""A person's photo."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.files import new_key
from backend.media.services.pictures import decode
from backend.media.services.storing import claim, keep, release

MAX_BYTES = 5 * 1024 * 1024


def set_photo(*, actor: Actor, upload: TemporaryUploadedFile, now: datetime) -> dict[str, str]:
    """Show this picture of the person from now on, in three squares; returns their addresses.

    Raises InvalidImage, Unavailable or NotFound.
    """
    photo = new_key("photos")
    sizes = accounts.PHOTO_SIZES.values()
    with TemporaryDirectory(prefix="callout-photo-") as folder:
        decode("photo", Path(upload.temporary_file_path()), Path(folder), list(sizes))
        squares = {accounts.photo_file(photo, size): Path(folder, f"{size}.webp") for size in sizes}
        keep(squares, content_type=accounts.PHOTO_CONTENT_TYPE, now=now)
    _show(actor, photo, now=now)
    return accounts.photo_links_of(actor=actor, now=now)


def delete_photo(*, actor: Actor, now: datetime) -> None:
    """Show no picture of the person any more. Raises NotFound."""
    _show(actor, "", now=now)


@transaction.atomic
def _show(actor: Actor, photo: str, *, now: datetime) -> None:
    before = accounts.set_photo(actor=actor, photo=photo, now=now)
    if before:
        release([accounts.photo_file(before, size) for size in accounts.PHOTO_SIZES.values()], now=now)
    if photo:
        claim([accounts.photo_file(photo, size) for size in accounts.PHOTO_SIZES.values()], now=now)
