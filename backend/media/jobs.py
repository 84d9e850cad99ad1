"""What media does by itself: reminders before documents run out; files that nobody wants are deleted."""

from datetime import datetime

from backend.core.errors import Unavailable
from backend.core.jobs import NotDoneError, OutsideCall, job, outside_job
from backend.core.timetable import every
from backend.media.services import reminding, storing


@job("media.remind_of_expiry")
def remind_of_expiry(*, now: datetime, document_id: int, version: int, days: int, **_: object) -> None:
    reminding.remind(document_id=document_id, version=version, days=days, now=now)


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
