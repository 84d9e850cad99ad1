from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "backend.notifications"
    label = "notifications"

    def ready(self) -> None:
        from backend.notifications import (  # noqa: PLC0415 - models exist only from here on
            invariants,  # noqa: F401
            jobs,  # noqa: F401
            personal_data,  # noqa: F401
            subscribers,
        )

        subscribers.listen()
