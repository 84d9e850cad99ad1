"""Events of yesterday stay readable: rows of the event table outlive every release of their readers.

`events_v1.json` holds one event of each type as it was first written. Its lines are never changed, only added to.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from shared_contracts.events import NUMBERED, Event

FIRST = json.loads((Path(__file__).parent / "events_v1.json").read_text())


def assert_holds(read: Any, sample: Any) -> None:
    """What was written is read; what a later release has added stands beside it."""
    if isinstance(sample, dict):
        for name, value in sample.items():
            assert_holds(read[name], value)
    else:
        assert read == sample


class TestEvents:
    def test_each_has_a_first_sample(self) -> None:
        assert FIRST.keys() == {event.type for event in NUMBERED}

    @pytest.mark.parametrize("event", NUMBERED, ids=lambda event: event.type)
    def test_the_first_sample_is_read_without_a_loss(self, event: type[Event]) -> None:
        sample = FIRST[event.type]
        assert_holds(event.model_validate(sample).model_dump(mode="json"), sample)

    @pytest.mark.parametrize("event", NUMBERED, ids=lambda event: event.type)
    def test_what_a_later_release_adds_is_ignored(self, event: type[Event]) -> None:
        sample = {**FIRST[event.type], "added_in_2050": {"deep": [1]}}
        assert event.model_validate(sample) == event.model_validate(FIRST[event.type])
