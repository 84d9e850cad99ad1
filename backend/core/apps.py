from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "backend.core"
    label = "core"

    def ready(self) -> None:
        from backend.core import checks, invariants, logs, own_data, purging  # noqa: F401, PLC0415 - register themselves here

        logs.configure()
