from django.apps import AppConfig


class DispatchConfig(AppConfig):
    name = "backend.dispatch"
    label = "dispatch"

    def ready(self) -> None:
        from backend.accounts.public import ASSISTANT_CHANGED  # noqa: PLC0415 - models exist only from here on
        from backend.dispatch import invariants, jobs, personal_data, rooms  # noqa: F401, PLC0415
        from backend.dispatch.selectors import hot, people  # noqa: PLC0415
        from backend.dispatch.services.duty import take_over_changes  # noqa: PLC0415

        rooms.guard_rooms()
        people.answer_for_jobs()
        hot.take_the_fast_lane()
        ASSISTANT_CHANGED.answered_by("dispatch", take_over_changes)
