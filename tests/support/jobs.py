"""Runs the jobs of a test's own transaction, as a worker would in its own."""

from typing import Any

from backend.core import clock, jobs
from backend.core.models import JobRow
from worker.running import key_of


def run_jobs(*names: str) -> list[Any]:
    """Run what waits under these names (all when none is named), oldest first; returns their results."""
    results = []
    while (
        row := (JobRow.objects.filter(status="pending", **({"name__in": names} if names else {})))
        .order_by("pk")
        .first()
    ):
        definition = jobs.definition(row.name)
        more = {"key": key_of(row)} if definition.is_outside else {}
        result = definition.run(now=clock.now(), **more, **row.arguments)
        if callable(result):
            result()
        results.append(result)
        JobRow.objects.filter(pk=row.pk).update(status="done", finished_at=clock.now())
    return results
