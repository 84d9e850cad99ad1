"""Inboxes: whoever changes what somebody was told holds that person's first."""

from collections.abc import Collection

from django.db import connection


def lock_inboxes(user_ids: Collection[int]) -> None:
    """Whoever changes somebody's list holds their inbox, in the order of ids."""
    if not user_ids:
        return
    ordered = sorted(user_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notifications_inbox (user_id, unread) SELECT id, 0 FROM unnest(%s::bigint[]) AS id ORDER BY id"
            " ON CONFLICT DO NOTHING",
            [ordered],
        )
        cursor.execute(
            "SELECT FROM notifications_inbox WHERE user_id = ANY(%s) ORDER BY user_id FOR NO KEY UPDATE", [ordered]
        )
