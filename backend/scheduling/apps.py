from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "backend.scheduling"
    label = "scheduling"

    def ready(self) -> None:
        from backend.scheduling import jobs  # noqa: F401, PLC0415 - models exist only from here on
