"""The timers of a request: the next wave, and the end. And forgetting what has had its time."""

from datetime import datetime

from backend.core.jobs import enqueue, job
from backend.core.timetable import every
from backend.dispatch.services import forgetting, waves
from shared_contracts.jobs import Queue


@job("dispatch.offer_next_wave")
def offer_next_wave(*, now: datetime, assistance_id: int, round: int, wave: int, **_: object) -> None:  # noqa: A002
    waves.offer_next_wave(assistance_id=assistance_id, round=round, wave=wave, now=now)


@job("dispatch.expire_request")
def expire_request(*, now: datetime, assistance_id: int, round: int, **_: object) -> None:  # noqa: A002
    waves.expire_request(assistance_id=assistance_id, round=round, now=now)


@job("dispatch.purge", queue=Queue.BULK)
def purge(*, now: datetime, **_: object) -> None:
    """Forget a batch of quotes and track points, and leave the rest to a job of its own."""
    if forgetting.forget(now=now):
        enqueue("dispatch.purge", now=now)


every(name="dispatch.purge", seconds=3600, job="dispatch.purge")


@job("dispatch.forget_tracks", queue=Queue.BULK)
def forget_tracks(*, now: datetime, user_id: int, **_: object) -> None:
    if forgetting.forget_tracks(user_id=user_id):
        enqueue("dispatch.forget_tracks", now=now, user_id=user_id)
