from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "backend.scheduling"
    label = "scheduling"

    def ready(self) -> None:
        from backend.accounts.public import TAKEN_OVER  # noqa: PLC0415
        from backend.core.references import SUBJECT_PEOPLE  # noqa: PLC0415 - models exist only from here on
        from backend.scheduling import invariants, jobs, personal_data  # noqa: F401, PLC0415
        from backend.scheduling.selectors.bookings import people_of  # noqa: PLC0415
        from backend.scheduling.services.links import end_link  # noqa: PLC0415

        personal_data.register()
        TAKEN_OVER.answered_by("scheduling", end_link)
        SUBJECT_PEOPLE.answered_by("booking", people_of)
