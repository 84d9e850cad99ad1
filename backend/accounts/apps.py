from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "backend.accounts"
    label = "accounts"

    def ready(self) -> None:
        from backend.accounts import invariants, rooms, sessions  # noqa: F401, PLC0415 - models exist only from here on

        sessions.answer_for_sessions()
        rooms.guard_rooms()
