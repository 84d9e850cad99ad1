"""The epoch: which life of the database the numbers belong to."""

from backend.core.models import Epoch


def current() -> str:
    """The present epoch. Read each time: a restore changes it under running processes."""
    return Epoch.objects.values_list("name", flat=True).get()
