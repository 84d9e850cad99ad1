"""Files and their rows: the row first, then the file, then whoever shows it claims it. What nobody claims is purged."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.db import transaction

from backend.core import files
from backend.media.models import StoredFile

UNCLAIMED_FOR = timedelta(hours=24)
BATCH = 200


def keep(contents: Mapping[str, "Path | File[Any]"], *, content_type: str, now: datetime) -> None:
    """Store these files under their keys; they are purged after a day unless they are claimed. Raises Unavailable.

    Not within a transaction: nobody waits for a storage while holding locks.
    """
    StoredFile.objects.bulk_create(
        [StoredFile(key=key, created_at=now, purge_at=now + UNCLAIMED_FOR) for key in contents]
    )
    for key, content in contents.items():
        if isinstance(content, Path):
            with content.open("rb") as opened:
                files.put(key, File(opened), content_type=content_type)
        else:
            files.put(key, content, content_type=content_type)


def claim(keys: Collection[str], *, now: datetime) -> None:
    """From the end of this transaction on, these files are shown by something. Raises LookupError for one too old."""
    claimed = StoredFile.objects.filter(key__in=keys, purge_at__gt=now).update(purge_at=None)
    if claimed != len(set(keys)):
        raise LookupError("a file was not kept, or its time was over")


def keep_until(key: str, *, purge_at: datetime) -> None:
    """This kept file stays until then."""
    StoredFile.objects.filter(key=key).update(purge_at=purge_at)


def release(keys: Collection[str], *, now: datetime) -> None:
    """Nothing shows these files any more: they are deleted at the next purge."""
    StoredFile.objects.filter(key__in=keys).update(purge_at=now)


def purge(*, now: datetime) -> int:
    """Delete up to 200 files that nobody wants, and then their rows. Returns how many; may be repeated at any point.

    Not within a transaction. A file can no longer be claimed once its time is over, so none is missed afterwards.
    """
    keys = list(
        StoredFile.objects.filter(purge_at__lte=now).order_by("purge_at", "key").values_list("key", flat=True)[:BATCH]
    )
    for key in keys:
        files.remove(key)
    with transaction.atomic():
        StoredFile.objects.filter(key__in=keys).delete()
    return len(keys)
