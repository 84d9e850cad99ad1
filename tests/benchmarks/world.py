"""Rows by the thousand, made by PostgreSQL itself: people with sessions, finished jobs, assistants on duty."""

from datetime import UTC, datetime

import psycopg
from django.db import connection
from psycopg import sql

from backend.core.geo import EARTH_RADIUS_M

Database = psycopg.Connection[tuple[object, ...]]

ALGIERS = (36.7538, 3.0588)

_SESSIONS = """
WITH people AS ({people})
INSERT INTO accounts_session (user_id, created_at, last_seen_at, expires_at, end_reason, agent)
SELECT id, now(), now(), now() + interval '30 days', '', 'bench' FROM people ORDER BY id
RETURNING user_id, id
"""

_JOBS = """
INSERT INTO dispatch_assistance (status, version, created_at, updated_at, pickup_lat, pickup_lng, dropoff_lat,
  dropoff_lng, vehicle_class, distance_m, total_price, minimum_price, currency, client_id, assistant_id,
  requested_service, service_type, vehicle_type, note, round, expires_at, requested_at, accepted_at, ongoing_at,
  finished_at, rating)
SELECT CASE n / %(count)s %% 2 WHEN 0 THEN 'completed' ELSE 'canceled' END, 4, at, at, 36.75, 3.05, 36.7, 3.2,
  'light', 12610,
  185000, 150000, 'DZD', %(clients)s[1 + n %% %(count)s], %(assistants)s[1 + n %% %(count)s], 'towing', 'towing',
  'Renault Symbol', 'Left lane, hazard lights on.', 1, at, at, at, at, at, 5
FROM generate_series(1, %(jobs)s) n, LATERAL (SELECT now() - n * interval '1 minute' AS at) moment
RETURNING id, client_id
"""

_TARIFF = """
INSERT INTO dispatch_tariff (service_type, vehicle_class, base, per_km, minimum, currency, road_factor, valid_from,
  created_at)
SELECT s, v, 150000, 5000, 150000, 'DZD', 1.30, now() - interval '1 day', now()
FROM unnest(ARRAY['towing', 'repair']) s, unnest(ARRAY['light', 'heavy']) v ON CONFLICT DO NOTHING
"""

_ON_DUTY = f"""
WITH place AS MATERIALIZED (
  SELECT id, %(lat)s + (random() - 0.5) * %(height)s AS lat, %(lng)s + (random() - 0.5) * %(width)s AS lng
  FROM unnest(%(ids)s::bigint[]) id
)
INSERT INTO dispatch_assistant (user_id, on_duty, service_type, vehicle_class, licence_category, licence_expires_on,
  lat, lng, position, located_at, fresh_at)
SELECT id, true, 'towing', 'heavy', 'c', DATE '2040-01-01', lat, lng,
  point({EARTH_RADIUS_M} * radians(lng), {EARTH_RADIUS_M} * ln(tan(pi() / 4 + radians(lat) / 2))), now(),
  now() + interval '1 day'
FROM place
"""


def people(database: Database, tag: str, role: str, count: int) -> list[tuple[int, int]]:
    """So many people who hold this role and are signed in: ids of the person and the session."""
    from backend.accounts.models import User  # Django is set up from here on

    at = datetime.now(UTC)
    model = User(roles=[role], password="!", first_name="Person", last_name="Bench", created_at=at, updated_at=at)
    numbered = {"username": "{tag} || n", "email": "{tag} || n || '@example.org'", "name": "'Person ' || n"}
    columns, values, parameters = [], [], []
    for field in User._meta.concrete_fields:
        if field.primary_key:
            continue
        columns.append(str(field.column))
        if field.name in numbered:
            values.append(numbered[field.name].format(tag=sql.Literal(tag).as_string(None)))
        else:
            values.append(f"%s::{field.db_type(connection)}")
            parameters.append(field.get_db_prep_save(getattr(model, field.attname), connection))
    insert = (
        f"INSERT INTO accounts_user ({', '.join(columns)}) SELECT {', '.join(values)} "
        "FROM generate_series(1, %s) n RETURNING id"
    )
    rows = database.execute(_SESSIONS.format(people=insert).encode(), [*parameters, count]).fetchall()
    return [(int(str(user)), int(str(session))) for user, session in rows]


_FILLED = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' AND pg_relation_size(relid) > 0"


def tidy(database: Database) -> None:
    """Vacuum and analyse the tables that hold something: an empty one's statistics would say that it stays empty."""
    names = ", ".join(str(name) for (name,) in database.execute(_FILLED).fetchall())
    database.execute(f"VACUUM ANALYZE {names}".encode())


def finished_jobs(database: Database, clients: list[int], assistants: list[int], jobs: int) -> list[tuple[int, int]]:
    """Jobs that are over, half of them completed, spread over these people: ids of the job and its client."""
    rows = database.execute(
        _JOBS, {"clients": clients, "assistants": assistants, "count": len(clients), "jobs": jobs}
    ).fetchall()
    database.execute("VACUUM ANALYZE dispatch_assistance")
    return [(int(str(job)), int(str(client))) for job, client in rows]


def tariffs(database: Database) -> None:
    database.execute(_TARIFF)


def put_on_duty(database: Database, ids: list[int], *, height: float = 0.2, width: float = 0.25) -> None:
    """These people on duty, spread over so many degrees around Algiers; the default is a city of some 500 km²."""
    lat, lng = ALGIERS
    database.execute(_ON_DUTY, {"ids": ids, "lat": lat, "lng": lng, "height": height, "width": width})
