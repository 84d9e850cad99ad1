"""One's own account as a whole: replaced, deleted."""

from typing import Annotated, Any

from pydantic import Field, StrictBool

from backend.accounts.schemas.account import (
    LEFT_OUT,
    NEW_CONTACT,
    Address,
    Bio,
    City,
    Country,
    Email,
    FirstName,
    Language,
    LastName,
    Name,
    Otp,
    Password,
    PhoneNumber,
    PlaceIn,
    TimeZone,
    Username,
)
from backend.core.schemas import In


class ProfileReplacementIn(In):
    """A whole profile: what is left out returns to what it is in a new account."""

    name: Name
    first_name: Annotated[FirstName, Field(description="From the name when left out.")] = LEFT_OUT
    last_name: Annotated[LastName, Field(description="From the name when left out.")] = LEFT_OUT
    email: Annotated[Email | None, Field(description=NEW_CONTACT + "; left out it is removed.")] = None
    phone_number: Annotated[PhoneNumber | None, Field(description=NEW_CONTACT + "; left out it is removed.")] = None
    username: Annotated[Username, Field(description="Stays when left out: there is always one.")] = LEFT_OUT
    bio: Bio = ""
    city: City = ""
    country: Country = ""
    address: Address = ""
    location: PlaceIn | None = None
    time_zone: TimeZone = "UTC"
    language: Language = "en"
    hide_presence: StrictBool = False
    current_password: Annotated[
        Password | None, Field(min_length=1, description="Proof for another e-mail address or phone number, or none.")
    ] = None

    def changes(self) -> dict[str, Any]:
        """Every field, but those that follow from others when they are left out."""
        following = {"first_name", "last_name", "username"} - self.model_fields_set
        return {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name not in following | {"current_password"}
        }


class DeletionIn(In):
    """The proof: the password, or nothing within five minutes of signing in; a code where two-factor is on."""

    password: Annotated[Password | None, Field(min_length=1)] = None
    otp: Annotated[Otp | None, Field(description="A code of the second factor, where it is on.")] = None
