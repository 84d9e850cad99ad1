from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "backend.accounts"
    label = "accounts"

    def ready(self) -> None:
        from backend.accounts import (  # noqa: PLC0415 - models exist only from here on
            hot,
            invariants,  # noqa: F401
            jobs,  # noqa: F401
            personal_data,  # noqa: F401
            rooms,
            sessions,
        )

        sessions.answer_for_sessions()
        rooms.guard_rooms()
        hot.take_the_fast_lane()
