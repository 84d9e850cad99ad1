"""Who is behind a session, asked on every request: one plain statement, no ORM in between."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import connection
from django.db.models import Exists

from backend.accounts.models import Session
from backend.core import auth, clock
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.hot import run

_FROM = "FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id"
_ALIVE = "WHERE s.ended_at IS NULL AND s.expires_at > %s AND u.is_active"
_ONE = "s.id = %s AND u.id = %s"
_MANY = "(s.id, u.id) IN (SELECT * FROM unnest(%s::bigint[], %s::bigint[]))"


def _statement(columns: str, whose: str) -> str:
    """The live sessions and the roles that serve at present.

    Where managers need a second factor, their roles sleep without one: they can sign in, and set it up.
    """
    roles, tables = "u.roles", _FROM
    if environment().require_two_factor_for_managers:
        roles = (
            "CASE WHEN f.confirmed_at IS NULL"
            " THEN array_remove(array_remove(u.roles, 'manager'), 'admin') ELSE u.roles END"
        )
        tables = f"{_FROM} LEFT JOIN accounts_second_factor f ON f.user_id = u.id"
    return f"SELECT {columns}{roles} {tables} {_ALIVE} AND {whose}"


class Sessions:
    """A session lives until it is ended or has run out, and only while its person is active."""

    def actor_of(self, *, session_id: int, user_id: int) -> Actor | None:
        """The person and their present roles, or None. One query."""
        rows = run(_statement("", _ONE), [clock.now(), session_id, user_id])
        return Actor(id=user_id, roles=frozenset(rows[0][0]), session_id=session_id) if rows else None

    def actors_of(self, sessions: Sequence[tuple[int, int]]) -> dict[int, Actor]:
        """Of many (session id, user id): the people of those alive, by session id. One query."""
        session_ids, user_ids = [pair[0] for pair in sessions], [pair[1] for pair in sessions]
        with connection.cursor() as cursor:
            cursor.execute(_statement("s.id, u.id, ", _MANY), [clock.now(), session_ids, user_ids])
            rows: list[tuple[int, int, list[str]]] = cursor.fetchall()
        return {
            session_id: Actor(id=user_id, roles=frozenset(roles), session_id=session_id)
            for session_id, user_id, roles in rows
        }


IS_SIGNED_IN = f"EXISTS (SELECT {_FROM} {_ALIVE} AND {_ONE})"
"""For another statement's conditions: the same as `actor_of`. It takes now, the session's id and the person's."""


def is_signed_in(*, user_id: int, session_id: int, now: datetime, without_roles: Collection[str]) -> Exists:
    """For another query's conditions: the same as `actor_of`, for who holds none of these roles."""
    alive = Session.objects.filter(
        pk=session_id, user_id=user_id, ended_at=None, expires_at__gt=now, user__is_active=True
    )
    return Exists(alive.exclude(user__roles__overlap=sorted(without_roles)))


def answer_for_sessions() -> None:
    """Called once when the apps are ready."""
    auth.set_session_source(Sessions())
