"""Values that travel between the entrances, the services and other modules: frozen, without the tables behind them."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class DrivingLicense:
    """A driving licence; `category` is `b` or `c`, `expires_on` the day on its face."""

    category: str
    number: str
    expires_on: date


@dataclass(frozen=True, slots=True)
class AssistantFields:
    """An assistant's vehicle and licence as somebody gives them; None is what they left out."""

    service_type: str | None = None
    vehicle_type: str | None = None
    vehicle_class: str | None = None
    driving_license: DrivingLicense | None = None
    vehicle_registration_number: str | None = None


NOTHING_GIVEN = AssistantFields()


@dataclass(frozen=True, slots=True)
class AssistantView:
    """The vehicle and licence of an active person who is an assistant."""

    user_id: int
    service_type: str
    vehicle_type: str
    vehicle_class: str
    licence_category: str
    licence_number: str
    licence_expires_on: date
    vehicle_registration_number: str


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person as others may see them."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Device:
    """What asks: the caller's address where it is known, and what their program calls itself."""

    address: str | None
    agent: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """An access token and a refresh token, signed."""

    access: str
    refresh: str
