from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "backend.catalog"
    label = "catalog"

    def ready(self) -> None:
        from backend.accounts.public import PERSON_CHANGED  # noqa: PLC0415 - models exist only from here on
        from backend.catalog import invariants, jobs, personal_data  # noqa: F401, PLC0415 - register themselves
        from backend.catalog.services.providers import follow_person  # noqa: PLC0415

        PERSON_CHANGED.answered_by("catalog", follow_person)
