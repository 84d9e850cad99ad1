"""Inboxes: whoever changes what somebody was told holds that person's first."""

from collections.abc import Collection

from backend.core.hot import run

# All of them or none: who holds some, and waits for another's new ones, could be waited for by that other.
_HOLD = """
    SELECT user_id FROM notifications_inbox
    WHERE user_id = ANY(%(ids)s::bigint[]) AND cardinality(%(ids)s::bigint[]) = (
        SELECT count(*) FROM notifications_inbox WHERE user_id = ANY(%(ids)s::bigint[])
    )
    ORDER BY user_id FOR NO KEY UPDATE
"""
_MAKE = """
    INSERT INTO notifications_inbox (user_id, unread) SELECT id, 0 FROM unnest(%s::bigint[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING
"""


def lock_inboxes(user_ids: Collection[int]) -> None:
    """Whoever changes somebody's list holds their inbox, in the order of ids. One query where all have one."""
    ids = sorted(set(user_ids))
    if ids and not run(_HOLD, {"ids": ids}):
        run(_MAKE, [ids], wants_rows=False)
        run(_HOLD, {"ids": ids})
