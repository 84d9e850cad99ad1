"""Where people are: one report over REST, and the relay's reports by the thousand."""

from collections.abc import Mapping
from datetime import datetime

from django.db import connection, transaction

from backend.accounts import public as accounts
from backend.core import live
from backend.core.actor import Actor, Role
from backend.core.geo import Point, project
from backend.core.live import Audience
from backend.dispatch import selectors
from backend.dispatch.models import DispatchAssistant
from shared_contracts.events import Location, PositionReport

TRACK_EVERY_SECONDS = 5
"""A job's track keeps a position so often at most."""

_RECORD = """
WITH reported AS (
  SELECT * FROM unnest(%(user_ids)s::bigint[], %(lats)s::float8[], %(lngs)s::float8[], %(xs)s::float8[],
    %(ys)s::float8[], %(headings)s::float8[], %(speeds)s::float8[], %(accuracies)s::float8[], %(ats)s::timestamptz[])
    AS r(user_id, lat, lng, x, y, heading, speed, accuracy, at)
), known AS MATERIALIZED (
  SELECT a.user_id FROM dispatch_assistant a WHERE a.user_id = ANY(%(user_ids)s::bigint[])
  ORDER BY a.user_id FOR NO KEY UPDATE
), working AS (
  SELECT j.assistant_id, j.id FROM dispatch_assistance j
  WHERE j.status IN ('accepted', 'ongoing') AND j.assistant_id = ANY(%(user_ids)s::bigint[])
), moved AS (
  UPDATE dispatch_assistant a SET
    lat = r.lat, lng = r.lng, position = point(r.x, r.y), heading = r.heading, speed = r.speed,
    accuracy = r.accuracy, located_at = r.at, fresh_at = GREATEST(a.fresh_at, r.at),
    tracked_at = CASE WHEN w.id IS NULL OR r.at < a.tracked_at + %(track_every)s * interval '1 second'
      THEN a.tracked_at ELSE r.at END
  FROM reported r JOIN known k USING (user_id) LEFT JOIN working w ON w.assistant_id = r.user_id
  WHERE a.user_id = ANY(%(user_ids)s::bigint[]) AND a.user_id = r.user_id AND r.lat IS NOT NULL
    AND (a.located_at IS NULL OR r.at > a.located_at)
    AND (a.on_duty OR w.id IS NOT NULL)
  RETURNING w.id AS job_id, new.lat, new.lng, new.speed, new.located_at AS at,
    new.tracked_at IS DISTINCT FROM old.tracked_at AS tracked
), refreshed AS (
  UPDATE dispatch_assistant a SET fresh_at = r.at
  FROM reported r JOIN known k USING (user_id)
  WHERE a.user_id = ANY(%(user_ids)s::bigint[]) AND a.user_id = r.user_id AND r.lat IS NULL AND a.on_duty
    AND (a.fresh_at IS NULL OR r.at > a.fresh_at)
)
INSERT INTO dispatch_track_point (assistance_id, lat, lng, speed, at)
SELECT job_id, lat, lng, speed, at FROM moved WHERE job_id IS NOT NULL AND tracked
"""


@transaction.atomic
def record_positions(*, reports: Mapping[int, PositionReport], now: datetime) -> None:
    """Write the latest report of each person, by user id, in one statement.

    Counted are assistants on duty or on a job, and only what is newer than what is known; a time in the future is
    taken for now. Without `lat` and `lng` a report only says that the phone is alive. Losing the last moment of it in
    a crash of PostgreSQL is fine, so the commit does not wait for the disk.
    """
    rows = [(user_id, reports[user_id]) for user_id in sorted(reports)]
    on_map = [_on_map(report) for _, report in rows]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(
            _RECORD,
            {
                "user_ids": [user_id for user_id, _ in rows],
                "lats": [report.lat for _, report in rows],
                "lngs": [report.lng for _, report in rows],
                "xs": [x for x, _ in on_map],
                "ys": [y for _, y in on_map],
                "headings": [report.heading for _, report in rows],
                "speeds": [report.speed for _, report in rows],
                "accuracies": [report.accuracy for _, report in rows],
                "ats": [min(report.at, now) for _, report in rows],
                "track_every": TRACK_EVERY_SECONDS,
            },
        )


def _on_map(report: PositionReport) -> tuple[float | None, float | None]:
    if report.lat is None or report.lng is None:
        return None, None
    return project(Point(report.lat, report.lng))


def report_position(*, actor: Actor, place: Point, report: PositionReport, now: datetime) -> None:
    """Take one's own position: live for an assistant at work and the parties of an open job, kept for everyone.

    An assistant's goes through Redis to the relay, or straight to the table while Redis is away.
    """
    at_work = selectors.at_work(actor)
    pending = actor.holds(Role.ASSISTANT) and (at_work.on_duty or at_work.has_job)
    report = report.model_copy(update={"lat": place.lat, "lng": place.lng, "at": min(report.at, now)})
    location = Location(assistance_id=None, user_id=actor.id, **report.model_dump())
    audience = Audience(job_ids=at_work.job_ids, on_duty=at_work.on_duty)
    passed_on = (pending or audience.job_ids) and live.pass_on(
        user_id=actor.id, location=location, audience=audience, pending=pending
    )
    if pending and not passed_on:
        record_positions(reports={actor.id: report}, now=now)
    if not pending:
        _remember(actor, place, report.at, now)


@transaction.atomic
def _remember(actor: Actor, place: Point, at: datetime, now: datetime) -> None:
    """Where somebody is who is not at work; for an assistant it is the position that counts on going on duty."""
    accounts.set_location(user_id=actor.id, lat=place.lat, lng=place.lng, now=now)
    if actor.holds(Role.ASSISTANT):
        DispatchAssistant.objects.filter(pk=actor.id, on_duty=False).update(
            lat=place.lat, lng=place.lng, position=project(place), located_at=at
        )
