"""Whatever says something about a person is taken along and forgotten by its module, or stands here with the reason.

Complete by construction: it walks every table for keys of people, so a new one fails until somebody thought of it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

from backend.accounts.models import User
from backend.core import personal_data

ROOT = Path(__file__).resolve().parents[2] / "backend"
Model = type[models.Model]

ELSEWHERE = {
    "accounts.Code": "keeps an address for a day, so that it is not written to more often; then it is purged",
    "accounts.RecoveryCode": "digests that go with the second factor; the export says that there is one",
    "catalog.ProviderStanding": "sums of what others said of a provider, without a word of it",
}
"""Tables with keys of people that their module's registration does not name."""
NO_PERSON = {
    *("media.Export.session_id", "messaging.Member.added_event_id", "messaging.Member.since_message_id"),
    *("messaging.Member.read_message_id", "messaging.Member.delivered_message_id"),
    *("messaging.Member.withheld_message_id", "messaging.Conversation.last_message_id"),
    *("dispatch.Assistance.conversation_id", "dispatch.Assistance.assistant_added_event_id"),
    *("scheduling.Booking.service_id", "scheduling.Booking.category_id"),
    *("scheduling.Move.from_resource_id", "scheduling.Move.to_resource_id", "scheduling.Resource.service_ids"),
    *("notifications.Delivery.device_id", "notifications.Device.session_id"),
}
"""Plain numbers that are keys of other things. A new one is a person's until it stands here."""


def ours() -> list[Model]:
    return [model for model in apps.get_models() if model.__module__.startswith("backend.")]


def people() -> set[Model]:
    """Tables whose keys are those of people: accounts, and what there is one of for each."""
    found: set[Model] = {User}
    while more := {
        model
        for model in ours()
        if model not in found and model._meta.pk.is_relation and model._meta.pk.related_model in found
    }:
        found |= more
    return found


def keys_of_people(model: Model, persons: set[Model]) -> Iterator[str]:
    """The columns of this table that say of whom it is."""
    if model in persons:
        yield model._meta.pk.name
    for field in model._meta.concrete_fields:
        inner = getattr(field, "base_field", field)
        if field.is_relation:
            is_key = field.related_model in persons
        else:
            is_key = isinstance(inner, models.IntegerField) and field.name.endswith(("_id", "_ids", "_by", "_with"))
        if is_key and f"{model._meta.app_label}.{model.__name__}.{field.name}" not in NO_PERSON:
            yield field.name


def about_people() -> list[Model]:
    persons = people()
    return [model for model in ours() if any(keys_of_people(model, persons))]


def named_in(module: str) -> set[str]:
    """What the module's registration speaks of."""
    file = ROOT / module / ("own_data.py" if module == "core" else "personal_data.py")
    return {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}


class TestPersonalData:
    """Seen red with a table that its registration does not name, and with a module that does not register."""

    @pytest.mark.parametrize("model", about_people(), ids=lambda model: model._meta.label)
    def test_of_every_table_is_exported_or_erased_by_its_module_or_has_a_reason_not_to(self, model: Model) -> None:
        module = model._meta.app_label
        assert module in personal_data.holders()
        assert (model.__name__ in named_in(module)) is (model._meta.label not in ELSEWHERE), model._meta.label

    def test_every_reason_is_needed(self) -> None:
        assert ELSEWHERE.keys() <= {model._meta.label for model in about_people()}
        known = {f"{model._meta.label}.{field.name}" for model in ours() for field in model._meta.concrete_fields}
        assert known >= NO_PERSON
