from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "backend.messaging"
    label = "messaging"

    def ready(self) -> None:
        from backend.messaging import invariants, jobs, personal_data, rooms  # noqa: F401, PLC0415 - models exist only from here on

        rooms.guard_rooms()
