"""What is written to the log, and what never is."""

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.db import IntegrityError, transaction

from backend.accounts.models import User
from backend.core import logs
from tests.support.people import make_member


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What has been written to the log."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    with monkeypatch.context() as context:
        context.setattr(sys, "stderr", stream)
        logs.configure()
    [ours] = root.handlers
    root.handlers = [*handlers, ours]
    yield stream
    root.removeHandler(ours)
    root.setLevel(level)


class TestConfigure:
    @pytest.mark.usefixtures("db")
    def test_an_error_is_told_without_the_row_that_it_was_about(self, told: io.StringIO) -> None:
        person = make_member(address="12 rue\n\nDidouche", name="Amel Hamdi")
        changes: list[dict[str, Any]] = [{"lat": 1000.0, "lng": 0.0}, {"roles": ["pope"]}]
        for change in changes:
            try:
                with transaction.atomic():
                    User.objects.filter(pk=person.id).update(**change)
            except IntegrityError as error:
                structlog.get_logger("callout.problem").error("request.failed", exc_info=error)
        text = told.getvalue()
        assert text.count("request.failed") == 2
        assert "user_place_on_earth" in text
        assert "IntegrityError" in text
        assert text.count("DETAIL:  (left out)") == 4
        assert not any(private in text for private in ("Amel", "Didouche", "example.org"))
