"""The least that could answer: granian's WSGI, a psycopg pool, msgspec, one SQL statement per request.

The same tables, the same token, the session's row checked in the statement itself. No framework, no validation, no
limits, no log. `python -m granian --interface wsgi tests.benchmarks.bare.rest:application`.
"""

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs
from zlib import crc32

import jwt
import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from tests.benchmarks.bare import statements

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

KEYS = json.loads(os.environ["TOKEN_KEYS"])
POOL: ConnectionPool[psycopg.Connection[tuple[Any, ...]]] = ConnectionPool(
    os.environ["DATABASE_URL"], min_size=4, max_size=8, open=True, kwargs={"autocommit": True}
)
encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4096)
def claims_of(token: str) -> dict[str, Any]:
    kid = jwt.get_unverified_header(token)["kid"]
    claims: dict[str, Any] = jwt.decode(token, KEYS[kid], algorithms=["HS256"], audience="callout", issuer="callout")
    return claims


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/healthz":
        return answer(start_response, b"{}")
    claims = claims_of(environ["HTTP_AUTHORIZATION"][7:])
    user, session = int(claims["sub"]), claims["sid"]
    parts = path.split("/")
    if environ["REQUEST_METHOD"] == "GET":
        if parts[4]:
            return detail(start_response, user, session, int(parts[4]))
        return listing(start_response, user, session, environ["QUERY_STRING"])
    body = environ["wsgi.input"].read()
    key = environ["HTTP_IDEMPOTENCY_KEY"]
    if parts[4]:
        return message(start_response, user, session, int(parts[4]), path, key, body)
    return request(start_response, user, session, path, key, body)


def answer(start_response: StartResponse, body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def run(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with POOL.connection() as connection:
        return connection.execute(statement, parameters, prepare=True).fetchall()


def detail(start_response: StartResponse, user: int, session: int, job: int) -> list[bytes]:
    rows = run(statements.DETAIL, {"now": datetime.now(UTC), "user": user, "session": session, "job": job})
    return answer(start_response, encode(job_out(rows[0])))


def listing(start_response: StartResponse, user: int, session: int, query: str) -> list[bytes]:
    status = parse_qs(query)["status"]
    rows = run(
        statements.LIST, {"now": datetime.now(UTC), "user": user, "session": session, "status": status, "limit": 20}
    )
    count = rows[0][-1]
    page = {
        "count": count,
        "next": f"/api/v1/assistance/?{query}&page=2" if count > 20 else None,
        "previous": None,
        "results": [job_out(row) for row in rows],
    }
    return answer(start_response, encode(page))


def message(
    start_response: StartResponse, user: int, session: int, job: int, path: str, key: str, body: bytes
) -> list[bytes]:
    """The message, its event, and the answer kept under its key; JSON is made in the statement, to be one."""
    sent = msgspec.json.decode(body)
    now = datetime.now(UTC)
    rows = run(
        statements.MESSAGE,
        {
            "now": now,
            "user": user,
            "session": session,
            "job": job,
            "content": sent["content"],
            "partition": crc32(f"conversation:{job}".encode()) % 16,
            **kept(user, path, key, body),
        },
    )
    return answer(start_response, rows[0][0].encode(), "201 Created")


def request(start_response: StartResponse, user: int, session: int, path: str, key: str, body: bytes) -> list[bytes]:
    """The job, its history, its wave, two events, two job rows, and the answer kept under its key."""
    asked = msgspec.json.decode(body)
    now = datetime.now(UTC)
    rows = run(
        statements.REQUEST,
        {
            "now": now,
            "later": now + timedelta(minutes=10),
            "user": user,
            "session": session,
            **{f"pickup_{name}": value for name, value in asked["pickup"].items()},
            **{f"dropoff_{name}": value for name, value in asked["dropoff"].items()},
            "service": asked["service_type"],
            **kept(user, path, key, body),
        },
    )
    return answer(start_response, rows[0][0].encode(), "201 Created")


def kept(user: int, path: str, key: str, body: bytes) -> dict[str, Any]:
    name = sha256(f"{user}\0POST {path}\0{key}".encode()).digest()
    return {
        "lock": int.from_bytes(name[:8], "big", signed=True),
        "operation": f"POST {path}",
        "key": key,
        "hash": sha256(body).digest(),
    }


def place(lat: float | None, lng: float | None) -> dict[str, float] | None:
    return None if lat is None else {"lat": lat, "lng": lng or 0}


def money(minor: int | None, currency: str) -> dict[str, str] | None:
    return None if minor is None else {"amount": f"{minor / 100:.2f}", "currency": currency}


def job_out(row: tuple[Any, ...]) -> dict[str, Any]:
    names = dict(zip(statements.COLUMNS, row, strict=False))
    return {
        "id": names["id"],
        "status": names["status"],
        "version": names["version"],
        "client": {"id": names["client_id"], "name": names["client_name"]},
        "assistant": None
        if names["assistant_id"] is None
        else {"id": names["assistant_id"], "name": names["assistant_name"]},
        "service_type": names["service_type"],
        "vehicle_class": names["vehicle_class"],
        "vehicle_type": names["vehicle_type"],
        "pickup": place(names["pickup_lat"], names["pickup_lng"]),
        "dropoff": place(names["dropoff_lat"], names["dropoff_lng"]),
        "note": names["note"],
        "distance_km": None if names["distance_m"] is None else names["distance_m"] / 1000,
        "estimated": True,
        "total_price": money(names["total_price"], names["currency"]),
        "minimum_price": money(names["minimum_price"], names["currency"]),
        "quote_id": names["quote_id"],
        "conversation_id": names["conversation_id"],
        "rating": names["rating"],
        "offer": None
        if names["offer_status"] is None
        else {
            "status": names["offer_status"],
            "distance_km": names["offer_distance_m"] / 1000,
            "eta_minutes": names["offer_eta"],
            "wave": names["offer_wave"],
            "offered_at": names["offered_at"],
            "answered_at": names["answered_at"],
        },
        **{name: names[name] for name in statements.MOMENTS},
    }
