"""Files on their way into messages: uploaded first, named in a message within a day, or deleted."""

import unicodedata
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction
from django.db.models import QuerySet

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import invalid_field
from backend.core.purging import purge_batch
from backend.media import public as media
from backend.messaging.errors import TooManyAttachments
from backend.messaging.models import Attachment

UNNAMED_FOR = timedelta(hours=24)
MAX_UNNAMED = 50
"""So many files of one person may wait for a message."""
MAX_NAME = 100


def keep_file(upload: TemporaryUploadedFile, *, now: datetime) -> media.Kept:
    """Store the file. Not within a transaction. Raises InvalidDocument, InvalidImage or Unavailable."""
    return media.keep_attachment(upload, now=now)


@transaction.atomic
def add_attachment(*, actor: Actor, kept: media.Kept, name: str, now: datetime) -> Attachment:
    """Note whose the file is, until a message of theirs names it. Raises TooManyAttachments."""
    accounts.hold_active([actor.id])
    if _unnamed(now=now).filter(uploader_id=actor.id).count() >= MAX_UNNAMED:
        raise TooManyAttachments
    return Attachment.objects.create(
        uploader_id=actor.id,
        file_key=kept.key,
        name=readable_name(name),
        content_type=kept.content_type,
        size_bytes=kept.size_bytes,
        created_at=now,
    )


def readable_name(name: str) -> str:
    """The name without what cannot be seen or turns the direction of writing, such as U+202E."""
    seen = "".join(
        character for character in name if unicodedata.category(character)[0] not in "CZ" or character == " "
    )
    return seen.strip()[:MAX_NAME] or "file"


def _unnamed(*, now: datetime) -> QuerySet[Attachment]:
    """What still may be named."""
    return Attachment.objects.filter(message=None, created_at__gt=now - UNNAMED_FOR)


def attach(*, actor: Actor, message_id: int, attachment_ids: Sequence[int], now: datetime) -> list[Attachment]:
    """Let the message carry these, in this order. Raises a 422 for what is not theirs, used already, or too old."""
    wanted = list(dict.fromkeys(attachment_ids))
    mine = _unnamed(now=now).select_for_update(no_key=True).filter(pk__in=wanted, uploader_id=actor.id)
    found = {attachment.pk: attachment for attachment in mine.order_by("pk")}
    if len(found) < len(wanted):
        raise invalid_field("body.attachments", "upload each file for one message, within a day before it")
    attached = [found[pk] for pk in wanted]
    for position, attachment in enumerate(attached):
        attachment.message_id, attachment.position = message_id, position
    Attachment.objects.bulk_update(attached, ["message_id", "position"])
    try:
        media.claim_files([attachment.file_key for attachment in attached], now=now)
    except LookupError:
        raise invalid_field("body.attachments", "a file is too old: upload it again") from None
    return attached


def detach(message_ids: Collection[int], *, now: datetime) -> None:
    """What these messages carry is deleted."""
    gone = Attachment.objects.filter(message_id__in=message_ids)
    media.release_files(list(gone.values_list("file_key", flat=True)), now=now)
    gone.delete()


def drop_unnamed(*, user_id: int, now: datetime) -> None:
    """Delete what this person has uploaded for no message yet."""
    unnamed = Attachment.objects.filter(uploader_id=user_id, message=None)
    media.release_files(list(unnamed.values_list("file_key", flat=True)), now=now)
    unnamed.delete()


def purge_unnamed(*, now: datetime) -> bool:
    """Forget a batch of what no message named within a day; media deletes the files. True when there may be more."""
    return purge_batch(Attachment.objects.filter(message=None, created_at__lte=now - UNNAMED_FOR))
