from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "backend.core"
    label = "core"

    def ready(self) -> None:
        from backend.core import checks, logs  # noqa: F401, PLC0415 - registers the checks once the apps are loaded

        logs.configure()
