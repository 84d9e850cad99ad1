"""What media holds of a person: their photo, documents and the export that they asked for."""

from collections.abc import Iterator
from datetime import datetime

from backend.accounts import public as accounts
from backend.core import personal_data
from backend.core.personal_data import Part, rows_of
from backend.media.models import Document, Export
from backend.media.services.storing import release

DOCUMENT = (
    *("id", "type", "expires_on", "status", "reason", "content_type", "size_bytes"),
    *("reviewed_at", "created_at", "updated_at"),
)


def export(user_id: int) -> Iterator[Part]:
    documents = Document.objects.filter(user_id=user_id)
    yield Part(name="media/documents.json", rows=rows_of(documents, *DOCUMENT))
    for row in rows_of(documents, "id", "file_id"):
        suffix = row["file_id"].rpartition(".")[2]
        yield Part(name=f"media/document-{row['id']}.{suffix}", file=row["file_id"])
    photo = accounts.photo_of(user_id)
    if photo:
        yield Part(name="media/photo.webp", file=accounts.photo_file(photo, max(accounts.PHOTO_SIZES.values())))


def erase(*, user_id: int, now: datetime) -> None:
    """Documents, photo and export: their files are deleted at the next purge.

    What an export that is being written at this moment leaves, nobody claims: it is gone within a day.
    """
    # Held: a file that takes another's place at this moment is let go of, too.
    documents = list(Document.objects.select_for_update(no_key=True).filter(user_id=user_id).order_by("pk"))
    keys = [document.file_id for document in documents]
    photo = accounts.photo_of(user_id)
    if photo:
        keys += [accounts.photo_file(photo, size) for size in accounts.PHOTO_SIZES.values()]
    exports = Export.objects.filter(user_id=user_id)
    keys += exports.exclude(key="").values_list("key", flat=True)
    exports.delete()
    release(keys, now=now)
    Document.objects.filter(pk__in=[document.pk for document in documents]).delete()


personal_data.holds("media", export=export, erase=erase)
