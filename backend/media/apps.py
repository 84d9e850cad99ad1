from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "backend.media"
    label = "media"

    def ready(self) -> None:
        from backend.media import invariants, jobs, personal_data  # noqa: F401, PLC0415 - models exist only from here on
