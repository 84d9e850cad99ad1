"""Pages and feeds, over any table."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from django.http import HttpRequest, QueryDict

from backend.core.errors import ValidationFailed
from backend.core.models import AuditRow
from backend.core.pagination import CursorIn, PageIn, feed, paginate

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rows() -> None:
    AuditRow.objects.bulk_create(
        AuditRow(action=f"a{number}", reference="x:1", request_id="", at=datetime(2030, 1, 1, tzinfo=UTC))
        for number in range(1, 8)
    )


def asking(query: str) -> HttpRequest:
    request = HttpRequest()
    request.path, request.GET = "/list/", QueryDict(query)
    return request


def names(answer: Mapping[str, object]) -> list[str]:
    results = answer["results"]
    assert isinstance(results, list)
    return [row.action for row in results]


class TestPaginate:
    def test_gives_the_page_the_count_and_the_neighbours(self) -> None:
        rows = AuditRow.objects.order_by("id")
        answer = paginate(asking("page=2&page_size=3&x=1"), rows, PageIn(page=2, page_size=3))
        assert names(answer) == ["a4", "a5", "a6"]
        assert answer["count"] == 7
        assert answer["next"] == "/list/?page=3&page_size=3&x=1"
        assert answer["previous"] == "/list/?page=1&page_size=3&x=1"

    def test_an_empty_list_and_a_page_behind_the_end_are_empty(self) -> None:
        nothing = paginate(asking(""), AuditRow.objects.none(), PageIn())
        assert nothing == {"count": 0, "next": None, "previous": None, "results": []}
        behind = paginate(asking("page=9"), AuditRow.objects.order_by("id"), PageIn(page=9))
        assert (behind["results"], behind["next"]) == ([], None)

    def test_refuses_to_read_a_list_for_ever(self) -> None:
        with pytest.raises(ValidationFailed):
            paginate(asking(""), AuditRow.objects.order_by("id"), PageIn(page=102, page_size=100))


class TestFeed:
    @pytest.mark.parametrize("newest_first", [True, False])
    def test_walks_to_the_end_and_back(self, newest_first: bool) -> None:
        expected = [f"a{number}" for number in range(1, 8)]
        expected = expected[::-1] if newest_first else expected
        parts, address = [], None
        for _ in range(3):
            answer = self.read(address, newest_first)
            parts.append(names(answer))
            address = answer["next"]
        assert parts == [expected[:3], expected[3:6], expected[6:]]
        assert address is None
        back = self.read(answer["previous"], newest_first)
        assert names(back) == expected[3:6]
        assert names(self.read(back["previous"], newest_first)) == expected[:3]

    def test_new_rows_do_not_shift_what_is_read(self) -> None:
        first = self.read(None, newest_first=True)
        AuditRow.objects.create(action="new", reference="x:1", request_id="", at=datetime(2030, 1, 1, tzinfo=UTC))
        assert names(self.read(first["next"], newest_first=True)) == ["a4", "a3", "a2"]

    @pytest.mark.parametrize("cursor", ["x", "bm90", "é", "cDk5OTk5OTk5OTk5OTk5OTk5OTk5"])
    def test_refuses_a_cursor_that_is_none(self, cursor: str) -> None:
        with pytest.raises(ValidationFailed):
            feed(asking(""), AuditRow.objects.all(), CursorIn(cursor=cursor))

    @staticmethod
    def read(address: str | None, newest_first: bool) -> dict[str, str | None]:
        query = QueryDict((address or "?").partition("?")[2], mutable=True)
        asked = CursorIn(cursor=query.get("cursor"), page_size=3)
        return feed(asking(query.urlencode()), AuditRow.objects.all(), asked, newest_first=newest_first)
