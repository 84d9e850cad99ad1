"""Finished work, as the modules tell of it in which it was done."""

from datetime import datetime
from typing import Any

from django.db import connection, transaction

_RECORD = """
WITH work AS (
    INSERT INTO catalog_finished_work (provider_id, client_id, reference, both_sides_review, finished_at)
    VALUES (%(provider_id)s, %(client_id)s, %(reference)s, %(both_sides_review)s, %(now)s)
    ON CONFLICT (provider_id, reference) DO UPDATE
        SET withdrawn_at = NULL, finished_at = excluded.finished_at
        WHERE catalog_finished_work.withdrawn_at IS NOT NULL
    RETURNING provider_id
)
INSERT INTO catalog_provider_standing AS standing (user_id, finished_jobs)
SELECT provider_id, 1 FROM work
ON CONFLICT (user_id) DO UPDATE SET finished_jobs = standing.finished_jobs + 1
"""

_WITHDRAW = """
WITH work AS (
    UPDATE catalog_finished_work SET withdrawn_at = %(now)s
    WHERE provider_id = %(provider_id)s AND reference = %(reference)s AND withdrawn_at IS NULL
    RETURNING provider_id
)
UPDATE catalog_provider_standing AS standing SET finished_jobs = standing.finished_jobs - 1
FROM work WHERE standing.user_id = work.provider_id
"""


@transaction.atomic
def record_finished_work(
    *, provider_id: int, client_id: int, reference: str, both_sides_review: bool, now: datetime
) -> None:
    """Count a finished job for its provider; the same job counts once, however often it is recorded.

    From now on its client may review the provider; with `both_sides_review` the provider the client too, and then both
    reviews stay hidden until both are written or 14 days have passed since `now`.
    """
    values: dict[str, Any] = {
        "provider_id": provider_id,
        "client_id": client_id,
        "reference": reference,
        "both_sides_review": both_sides_review,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, values)


@transaction.atomic
def withdraw_finished_work(*, provider_id: int, reference: str, now: datetime) -> None:
    """It was not done after all (a no-show): it counts no more, and nobody reviews it any more.

    What was written of it before stays. Without such work nothing happens.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WITHDRAW, {"provider_id": provider_id, "reference": reference, "now": now})
