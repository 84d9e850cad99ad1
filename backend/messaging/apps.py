from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "backend.messaging"
    label = "messaging"

    def ready(self) -> None:
        from backend.messaging import (  # noqa: PLC0415 - models exist only from here on
            hot,
            invariants,  # noqa: F401
            jobs,  # noqa: F401
            personal_data,  # noqa: F401
            rooms,
        )

        rooms.guard_rooms()
        hot.take_the_fast_lane()
