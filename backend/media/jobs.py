"""What media does by itself: reminders before documents run out, exports, and deleting files that nobody wants."""

from datetime import datetime
from functools import partial

from backend.core.errors import Unavailable
from backend.core.jobs import NotDoneError, OutsideCall, job, outside_job
from backend.core.timetable import every
from backend.media.services import exporting, reminding, storing
from shared_contracts.jobs import Queue


@job("media.remind_of_expiry")
def remind_of_expiry(*, now: datetime, document_id: int, version: int, days: int, **_: object) -> None:
    reminding.remind(document_id=document_id, version=version, days=days, now=now)


@outside_job("media.write_export", max_attempts=6)
def write_export(*, now: datetime, export_id: int, **_: object) -> OutsideCall | None:
    """Writing may be repeated at will: what an attempt leaves nobody claims, and it is purged."""
    if not exporting.is_wanted(export_id):
        return None
    return partial(_write, export_id, now)


def _write(export_id: int, now: datetime) -> None:
    try:
        exporting.write(export_id=export_id, now=now)
    except Exception as error:
        raise NotDoneError(f"{type(error).__name__}: {error}") from error


@job("media.end_export", queue=Queue.BULK)
def end_export(*, now: datetime, export_id: int, **_: object) -> None:
    exporting.end_export(export_id=export_id, now=now)


@outside_job("media.purge_files")
def purge_files(*, now: datetime, **_: object) -> OutsideCall:
    """Deleting may be repeated at will, so nothing of it ends with an unknown outcome."""

    def delete() -> None:
        try:
            while storing.purge(now=now) == storing.BATCH:
                pass
        except Unavailable as error:
            raise NotDoneError(str(error)) from error

    return delete


every(name="media.purge_files", seconds=600, job="media.purge_files")
