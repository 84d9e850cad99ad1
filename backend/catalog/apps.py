from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "backend.catalog"
    label = "catalog"

    def ready(self) -> None:
        from backend.catalog import invariants, personal_data  # noqa: F401, PLC0415 - register themselves
