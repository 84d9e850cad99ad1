"""The timers of a request: the next wave, and the end."""

from datetime import datetime

from backend.core.jobs import job
from backend.dispatch.services import waves


@job("dispatch.offer_next_wave")
def offer_next_wave(*, now: datetime, assistance_id: int, round: int, wave: int, **_: object) -> None:  # noqa: A002
    waves.offer_next_wave(assistance_id=assistance_id, round=round, wave=wave, now=now)


@job("dispatch.expire_request")
def expire_request(*, now: datetime, assistance_id: int, round: int, **_: object) -> None:  # noqa: A002
    waves.expire_request(assistance_id=assistance_id, round=round, now=now)
