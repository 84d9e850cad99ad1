"""What PostgreSQL does for the lists that everyone asks for, however large the tables are."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection

from backend.dispatch import selectors
from backend.dispatch.selectors import hot
from tests.support.people import Member


class TestListOfMyJobs:
    @pytest.mark.parametrize("is_hot", [True, False], ids=["hot", "ordinary"])
    def test_follows_indexes(self, member: Callable[..., Member], is_hot: bool) -> None:
        """Seen red with `pk__in` in the place of `is_one_of`: 100,000 jobs were read for each list."""
        actor = member("assistant").actor
        if is_hot:
            now = datetime.now(UTC)
            rows = hot._first_page(0)._build(user=actor.id, session=actor.session_id, now=now)
        else:
            rows = selectors.list_assistance_for(actor, statuses=[], oldest_first=False)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # of small tables too
            cursor.execute("SET LOCAL enable_indexscan = off")  # it would follow the order through the whole table
        plan = rows.explain()
        assert "Seq Scan on dispatch_assistance" not in plan
        assert "BitmapOr" in plan
