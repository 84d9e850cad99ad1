"""Hot statements: the same rows as the ordinary queryset, the same row as the ordinary insert."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from backend.core import hot
from backend.core.hot import HotInsert, HotQuery
from backend.core.models import AuditRow, EventRow, JobRow, StateChange

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def change(number: int, **fields: object) -> StateChange:
    return StateChange(
        **{
            "reference": f"booking:{number}",
            "version": 1,
            "from_status": "",
            "to_status": "requested",
            "by_id": None,
            "at": AT + timedelta(minutes=number),
            **fields,
        }
    )


@pytest.mark.django_db
class TestHotQuery:
    query = HotQuery(
        lambda reference, since, by: (
            StateChange.objects.filter(reference=reference, at__gte=since, by_id=by, to_status="requested")
            .order_by("id")
            .values_list("id", "reference", "at", "by_id", "reason")
        ),
        reference=str,
        since=datetime,
        by=int,
    )

    def test_gives_the_rows_of_the_ordinary_query_for_every_value(self) -> None:
        StateChange.objects.bulk_create([change(1, by_id=7), change(2, by_id=7), change(3, by_id=8)])
        for number, since, by in ((1, AT, 7), (2, AT, 7), (2, AT + timedelta(hours=1), 7), (3, AT, 8), (3, AT, 7)):
            ordinary = StateChange.objects.filter(reference=f"booking:{number}", at__gte=since, by_id=by)
            expected = list(ordinary.values_list("id", "reference", "at", "by_id", "reason"))
            assert self.query.rows(reference=f"booking:{number}", since=since, by=by) == expected

    def test_gives_the_first_row_or_none(self) -> None:
        StateChange.objects.bulk_create([change(1, by_id=7)])
        found = self.query.row(reference="booking:1", since=AT, by=7)
        assert found is not None
        assert found[1] == "booking:1"
        assert self.query.row(reference="booking:2", since=AT, by=7) is None

    def test_takes_a_list_of_integers(self) -> None:
        StateChange.objects.bulk_create([change(1, by_id=7), change(2, by_id=8), change(3, by_id=9)])
        by_any = HotQuery(lambda by: StateChange.objects.filter(by_id__any=by).values_list("by_id"), by=list)
        assert sorted(by_any.rows(by=[7, 9, 10])) == [(7,), (9,)]
        assert by_any.rows(by=[]) == []

    def test_refuses_a_name_that_the_query_does_not_use(self) -> None:
        lost = HotQuery(lambda id, other: StateChange.objects.filter(pk=id).values_list("id"), id=int, other=int)  # noqa: A006
        with pytest.raises(LookupError, match="other"):
            lost.rows(id=1, other=2)

    def test_takes_text_as_a_value_never_as_sql(self) -> None:
        assert self.query.rows(reference="x' OR '1'='1", since=AT, by=7) == []


@pytest.mark.django_db
class TestInsert:
    def test_writes_what_the_orm_writes(self) -> None:
        fields = {"actor_id": 7, "action": "user.changed", "reference": "user:7", "changes": {"a": [1, None, "é"]}}
        fields |= {"request_id": "r", "client_address": "192.0.2.1", "at": AT}
        ours, theirs = AuditRow(**fields), AuditRow(**fields)
        hot.insert([ours])
        theirs.save()
        assert ours.pk == theirs.pk - 1
        columns = [field.attname for field in AuditRow._meta.concrete_fields if not field.primary_key]
        first, second = AuditRow.objects.filter(pk__in=[ours.pk, theirs.pk]).order_by("id").values(*columns)
        assert first == second

    def test_gives_each_row_its_key_in_order_and_leaves_the_database_its_defaults(self) -> None:
        rows = [
            EventRow(room=f"user:{n}", partition=0, type="x", data="{}", request_id="r", created_at=AT)
            for n in range(1, 4)
        ]
        hot.insert(rows)
        stored = EventRow.objects.order_by("id")
        assert [row.pk for row in rows] == [row.pk for row in stored]
        assert [row.room for row in stored] == ["user:1", "user:2", "user:3"]
        assert all(row.written_at is not None for row in stored)

    def test_a_row_can_be_saved_again(self) -> None:
        row = JobRow(name="x.y", queue="critical", arguments={"a": 1}, request_id="r", run_at=AT)
        hot.insert([row])
        row.status = "done"
        row.save()
        assert JobRow.objects.get().status == "done"

    def test_once_is_refused_by_a_constraint_without_harm(self) -> None:
        """Seen red with every unique violation raised, and with a row said to be there that is not."""
        first, second = change(1), change(1)
        assert hot.insert_once(first)
        assert not hot.insert_once(second)
        assert list(StateChange.objects.all()) == [first]
        assert second._state.adding

    def test_nothing_is_no_statement(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(0):
            hot.insert([])

    def test_keeps_a_value_where_the_database_would_have_one_too(self) -> None:
        """Seen red with every column left out that the database can fill in: its default took the value's place."""
        row = JobRow(name="x.y", queue="critical", arguments={}, request_id="r", run_at=AT, calls_unknown=3)
        hot.insert([row])
        assert JobRow.objects.get().calls_unknown == 3

    def test_is_part_of_the_transaction(self) -> None:
        with transaction.atomic():
            hot.insert([change(1)])
            transaction.set_rollback(True)
        assert not StateChange.objects.exists()


@pytest.mark.django_db
class TestHotInsert:
    jobs = HotInsert(JobRow, "request_id", "arguments", "name", "queue", "run_at")

    def test_writes_what_the_orm_writes(self) -> None:
        """Seen red with the columns in the model's order, whatever the order of the names."""
        ours = self.jobs.run([("r", '{"a": [1, null, "\u00e9"]}', "x.y", "critical", AT)])
        theirs = JobRow.objects.create(
            name="x.y", queue="critical", arguments={"a": [1, None, "\u00e9"]}, request_id="r", run_at=AT
        )
        assert ours == [theirs.pk - 1]
        columns = {field.attname for field in JobRow._meta.concrete_fields} - {"id", "created_at"}
        first, second = JobRow.objects.order_by("id").values(*columns)
        assert first == second

    def test_gives_the_keys_in_the_order_of_the_rows(self) -> None:
        keys = self.jobs.run([(f"r{n}", "{}", "x.y", "bulk", AT) for n in range(3)])
        assert list(JobRow.objects.order_by("id").values_list("id", "request_id")) == list(
            zip(keys, ["r0", "r1", "r2"], strict=True)
        )

    def test_takes_an_expression_instead_of_a_placeholder(self) -> None:
        statement = self.jobs.text(1, arguments="%s::jsonb || '{\"b\": 2}'")
        hot.run(statement, ["r", '{"a": 1}', "x.y", "bulk", AT])
        assert JobRow.objects.get().arguments == {"a": 1, "b": 2}


@pytest.mark.django_db
class TestScript:
    def test_gives_the_rows_of_each_statement(self) -> None:
        script = "SET LOCAL enable_sort = off; SELECT current_setting('enable_sort'), %(a)s; SELECT 1 WHERE %(b)s"
        assert hot.run_script(script, {"a": "x'", "b": False}) == [[], [("off", "x'")], []]
