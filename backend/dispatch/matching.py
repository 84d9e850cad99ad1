"""Who is asked: the nearest assistants that may take a job, found by one statement.

`OBSTACLES` is the one place that says what keeps an assistant from a job. The search leaves out everyone with an
obstacle, the trace names the first one of those near, and an acceptance is checked against the same conditions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from backend.core.geo import WORLD_WIDTH, Point, haversine_m, project, projected_radius
from backend.core.hot import run_script
from backend.dispatch.models import Assistance
from backend.dispatch.rules import approach_minutes

OBSTACLES: Mapping[str, str] = {
    "asked_before": """a.user_id = ANY (ARRAY(
        SELECT o.assistant_id FROM dispatch_offer o
        WHERE o.assistance_id = %(assistance)s AND (o.round = %(round)s OR o.status = 'accepted')))""",
    "own_request": "a.user_id = %(client)s",
    "off_duty": "NOT a.on_duty",
    # As a value, asked row by row: EXISTS would be answered from a hash of everybody who is busy.
    "busy": """(SELECT j.id FROM dispatch_assistance j
        WHERE j.assistant_id = a.user_id AND j.status IN ('accepted', 'ongoing')) IS NOT NULL""",
    "wrong_service": "a.service_type <> COALESCE(%(service)s, a.service_type)",
    "wrong_vehicle": "%(vehicle_class)s = 'heavy' AND a.vehicle_class <> 'heavy'",
    "wrong_category": "%(vehicle_class)s = 'heavy' AND a.licence_category <> 'c'",
    "licence_expired": "a.licence_expires_on < %(day)s",
    "stale_position": "a.fresh_at IS NULL OR a.fresh_at < %(fresh_after)s",
}
"""Each is true or false, never null. A job that gave an assistant back carries an offer of theirs marked accepted."""

AT_THE_CLAIM = tuple(name for name in OBSTACLES if name not in {"asked_before", "stale_position"})
"""What is asked again when an assistant accepts: the offer they hold stands for the rest."""

LEFT_OUT_KEPT = 20

_SUITABLE = " AND ".join(f"NOT ({condition})" for condition in OBSTACLES.values())
_UNSUITABLE = " OR ".join(f"({condition})" for condition in OBSTACLES.values())


def _first_obstacle(names: Iterable[str]) -> str:
    cases = " ".join(f"WHEN {OBSTACLES[name]} THEN '{name}'" for name in names)
    return f"CASE {cases} END"


_NEAREST = """(SELECT a.user_id, a.lat, a.lng, {reason} AS reason FROM dispatch_assistant a
  WHERE a.on_duty AND a.position <@ circle(point({x!r}, {y!r}), {reach!r}) AND ({condition})
  ORDER BY a.position <-> point({x!r}, {y!r}) LIMIT {limit})"""


@dataclass(frozen=True, slots=True)
class Nearby:
    """An assistant within reach: whole metres to the pickup, straight line. `reason` says why they were left out."""

    assistant_id: int
    distance_m: int
    reason: str = ""

    @property
    def eta_minutes(self) -> int:
        return approach_minutes(self.distance_m)


@dataclass(frozen=True, slots=True)
class Search:
    """One search for a job: within `radius_m` of its pickup, among positions heard of since `fresh_after`."""

    assistance: Assistance
    radius_m: float
    now: datetime
    fresh_after: datetime

    @classmethod
    def of(cls, assistance: Assistance, *, radius_km: float, now: datetime, fresh_seconds: int) -> "Search":
        return cls(assistance, radius_km * 1000, now, now - timedelta(seconds=fresh_seconds))

    def nearest(self, count: int) -> list[Nearby]:
        """The nearest assistants that may take the job, nearest first. One statement."""
        # The map's order is that of true distances but for nearly equal ones: a few more, then ranked exactly.
        return self._run(_SUITABLE, "''", self.radius_m, limit=count + count // 4 + 10)[:count]

    def left_out(self, within_m: float) -> list[Nearby]:
        """The nearest on duty that may not take it, with the first reason: those that were passed by. One statement."""
        return self._run(_UNSUITABLE, _first_obstacle(OBSTACLES), within_m, limit=LEFT_OUT_KEPT)

    def _run(self, condition: str, reason: str, within_m: float, *, limit: int) -> list[Nearby]:
        pickup = self.assistance.pickup
        reach = projected_radius(pickup, within_m)
        statement = " UNION ALL ".join(
            _NEAREST.format(condition=condition, reason=reason, x=x, y=y, reach=reach, limit=limit)
            for x, y in centres(project(pickup), reach)
        )
        rows = fetch_nearest_first(statement, _parameters(self.assistance, self.now, self.fresh_after))
        found = [Nearby(user_id, round(haversine_m(pickup, Point(lat, lng))), why) for user_id, lat, lng, why in rows]
        within = [one for one in found if one.distance_m <= within_m]
        return sorted(within, key=lambda one: (one.distance_m, one.assistant_id))[:limit]


def fetch_nearest_first(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a search that is ordered by distance along the index, never by sorting what the circle holds.

    PostgreSQL takes any circle for nearly empty and would rather collect and sort it: a whole city each time.
    """
    _, found, _ = run_script(f"SET LOCAL enable_sort = off; {statement}; SET LOCAL enable_sort = on", parameters)
    return found


def obstacle_at_claim(assistance: Assistance, *, assistant_id: int, now: datetime) -> tuple[str | None, str]:
    """What keeps this assistant from taking the job now (None: nothing), and what service they do. One statement.

    An assistant that dispatch has no row of is off duty.
    """
    statement = f"SELECT {_first_obstacle(AT_THE_CLAIM)}, a.service_type FROM dispatch_assistant a"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            f"{statement} WHERE a.user_id = %(assistant)s",
            {**_parameters(assistance, now, now), "assistant": assistant_id},
        )
        row: tuple[str | None, str] | None = cursor.fetchone()
    return row or ("off_duty", "")


def _parameters(assistance: Assistance, now: datetime, fresh_after: datetime) -> dict[str, Any]:
    return {
        "assistance": assistance.pk,
        "round": assistance.round,
        "client": assistance.client_id,
        "service": assistance.requested_service,
        "vehicle_class": assistance.vehicle_class,
        "day": now.date(),
        "fresh_after": fresh_after,
    }


def centres(position: tuple[float, float], reach: float) -> Sequence[tuple[float, float]]:
    """A position on the map, and once more one world further when the circle around it crosses the date line."""
    x, y = position
    if x + reach > WORLD_WIDTH / 2:
        return (x, y), (x - WORLD_WIDTH, y)
    if x - reach < -WORLD_WIDTH / 2:
        return (x, y), (x + WORLD_WIDTH, y)
    return ((x, y),)
