"""All that is held of a person, as a ZIP of JSON and files: asked for, written in the background, gone after a week."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from django.db import transaction

from backend.accounts import public as accounts
from backend.core import audit, files, personal_data
from backend.core.actor import Actor
from backend.core.files import new_key
from backend.core.jobs import enqueue
from backend.core.personal_data import Part
from backend.core.states import record_birth, transition
from backend.media.models import Export
from backend.media.services.storing import keep, keep_until, release
from backend.media.states import ExportStatus

KEEP = timedelta(days=7)
ONE_EACH = timedelta(hours=1)
"""Who asks again so soon gets the same one. One that is not written by then has failed."""
ZIP = "application/zip"


def request_export(*, actor: Actor, password: str | None, otp: str | None, now: datetime) -> Export:
    """Have it written, or the one of the last hour. Raises ProofRequired and RateLimited as deleting the account does:
    everything at once is more than a stolen token should get.
    """
    recent = Export.objects.filter(user_id=actor.id).first()
    if recent is not None and _is_recent(recent, now=now):
        return recent
    accounts.prove_fully(actor=actor, password=password, otp=otp, now=now)
    return _request(actor, now=now)


@transaction.atomic
def _request(actor: Actor, *, now: datetime) -> Export:
    accounts.hold_active([actor.id])
    before = Export.objects.select_for_update(no_key=True).filter(user_id=actor.id).first()
    if before is not None:
        if _is_recent(before, now=now):
            return before
        release([before.key], now=now)
        before.delete()
    export, is_new = Export.objects.get_or_create(
        user_id=actor.id,
        defaults={
            "session_id": actor.session_id,
            "status": ExportStatus.REQUESTED,
            "created_at": now,
            "updated_at": now,
        },
    )
    if is_new:
        record_birth(export, by=actor, now=now)
        enqueue("media.write_export", now=now, export_id=export.pk)
        enqueue("media.end_export", now=now, run_at=now + ONE_EACH, export_id=export.pk)
        audit.record(actor=actor, action="media.export_requested", reference=export.reference, now=now)
    return export


def _is_recent(export: Export, *, now: datetime) -> bool:
    return export.status in {ExportStatus.REQUESTED, ExportStatus.READY} and export.created_at > now - ONE_EACH


def is_wanted(export_id: int) -> bool:
    return Export.objects.filter(pk=export_id, status=ExportStatus.REQUESTED).exists()


def write(*, export_id: int, now: datetime) -> None:
    """Write and store the file, and say that it is ready, unless another did so or the account is gone.

    Not within a transaction. Neither the rows nor the file are ever whole in memory. May be repeated at any point: an
    attempt that was cut off leaves a file that nobody claims.
    """
    export = Export.objects.filter(pk=export_id, status=ExportStatus.REQUESTED).first()
    if export is None:
        return
    with TemporaryDirectory(prefix="callout-export-") as folder:
        path = Path(folder, "export.zip")
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for part in personal_data.parts_of(export.user_id):
                _add(archive, part, now=now)
        key = new_key("exports", ".zip")
        keep({key: path}, content_type=ZIP, now=now)
        size_bytes = path.stat().st_size
    _finish(export_id, key, size_bytes, now=now)


def _add(archive: ZipFile, part: Part, *, now: datetime) -> None:
    info = ZipInfo(part.name, date_time=now.timetuple()[:6])
    info.compress_type = ZIP_DEFLATED
    if part.file is None:
        with archive.open(info, "w", force_zip64=True) as target:
            for piece in _written(part.rows or ()):
                target.write(piece.encode())
        return
    try:
        stored = files.read(part.file)
    except FileNotFoundError:
        return  # deleted while this was written
    with stored, archive.open(info, "w", force_zip64=True) as target:
        for chunk in stored.chunks():
            target.write(chunk)


def _written(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """A JSON array, row by row."""
    before = "["
    for row in rows:
        yield f"{before}\n{json.dumps(row, ensure_ascii=False, indent=2, default=_text)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _text(value: object) -> str:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
    raise TypeError(f"{type(value).__name__} does not fit an export")


@transaction.atomic
def _finish(export_id: int, key: str, size_bytes: int, *, now: datetime) -> None:
    export = Export.objects.select_for_update(no_key=True).filter(pk=export_id, status=ExportStatus.REQUESTED).first()
    if export is None:
        release([key], now=now)
        return
    expires_at = now + KEEP
    keep_until(key, purge_at=expires_at)
    transition(
        export,
        expect={ExportStatus.REQUESTED},
        to=ExportStatus.READY,
        set={"key": key, "size_bytes": size_bytes, "expires_at": expires_at},
        by=None,
        now=now,
    )
    enqueue("media.end_export", now=now, run_at=expires_at, export_id=export_id)


@transaction.atomic
def end_export(*, export_id: int, now: datetime) -> None:
    """What was not written in time has failed, what was ready for a week is over. For the job, which may come twice."""
    export = Export.objects.select_for_update(no_key=True).filter(pk=export_id).first()
    if export is None:
        return
    if export.status == ExportStatus.REQUESTED and not _is_recent(export, now=now):
        transition(export, expect={ExportStatus.REQUESTED}, to=ExportStatus.FAILED, by=None, now=now)
    elif export.expires_at is not None and export.expires_at <= now and export.status == ExportStatus.READY:
        release([export.key], now=now)
        transition(export, expect={ExportStatus.READY}, to=ExportStatus.EXPIRED, set={"key": ""}, by=None, now=now)
