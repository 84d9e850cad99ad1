"""What the directory, the list of devices and one's own addresses take and give."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, model_validator

from backend.accounts import selectors
from backend.accounts.models import Skill, User
from backend.accounts.schemas.account import LEFT_OUT, City, Country, Email, PhotoOut, SelfServiceRole, Username
from backend.core import clock
from backend.core.actor import Role
from backend.core.pagination import PageIn
from backend.core.schemas import Id, In, Line, Out, QueryIn


class AvailabilityIn(QueryIn):
    """What one would like to have: a username or an e-mail address."""

    username: Username | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.username is None) == (self.email is None):
            raise ValueError("give username or email")
        return self


class AvailabilityOut(Out):
    """Whether nobody has it yet."""

    is_available: bool


class SessionOut(Out):
    """A device that is signed in."""

    id: int
    created_at: datetime
    last_seen_at: datetime
    client_address: str | None
    agent: str
    is_current: bool


_Roles = Annotated[list[SelfServiceRole], Field(max_length=len(SelfServiceRole))]


class DirectoryIn(PageIn):
    """Filters of the directory."""

    role: _Roles = []
    not_role: _Roles = []
    search: Annotated[Line, Field(max_length=100, description="In names and usernames.")] = ""
    city: Annotated[Line, Field(max_length=100)] = ""
    skills: Annotated[list[Id], Field(max_length=10, description="Ids of skills; who has all of them.")] = []
    ordering: Literal["name", "-name", "created_at", "-created_at"] = "-created_at"


class SkillOut(Out):
    """Something that people can do."""

    id: int
    name: Annotated[str, Field(examples=["Battery jump start"])]


class PublicUserOut(Out):
    """A person as anybody may see them."""

    id: int
    username: str
    name: str
    first_name: str
    last_name: str
    roles: list[Role]
    bio: str
    city: str
    country: str
    photo: PhotoOut | None
    skills: list[SkillOut]
    is_verified: bool
    created_at: datetime

    @staticmethod
    def resolve_photo(user: User) -> dict[str, str] | None:
        return selectors.photo_links(user.photo, now=clock.now())

    @staticmethod
    def resolve_skills(user: User) -> list[Skill]:
        return list(user.skills.all())


_Street = Annotated[Line, Field(min_length=1, max_length=300, examples=["12 rue Didouche Mourad"])]
_City = Annotated[City, Field(min_length=1)]
_State = Annotated[Line, Field(max_length=100, examples=["Alger"])]
_ZipCode = Annotated[Line, Field(max_length=20, examples=["16000"])]


class AddressIn(In):
    """A place of mine."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"street_address": "12 rue Didouche Mourad", "city": "Algiers", "country": "DZ"}]
        }
    )

    street_address: _Street
    city: _City
    state: _State = ""
    zip_code: _ZipCode = ""
    country: Country = ""
    is_primary: Annotated[StrictBool, Field(description="Takes the place of the one that was. The first one is.")] = (
        False
    )


class AddressChangeIn(In):
    """What changes; a field that is left out stays as it is."""

    street_address: _Street = LEFT_OUT
    city: _City = LEFT_OUT
    state: _State = LEFT_OUT
    zip_code: _ZipCode = LEFT_OUT
    country: Country = LEFT_OUT
    is_primary: StrictBool = LEFT_OUT

    def changes(self) -> dict[str, Any]:
        """Only the fields that were given."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class AddressOut(Out):
    """A place of mine."""

    id: int
    street_address: str
    city: str
    state: str
    zip_code: str
    country: str
    is_primary: bool
    created_at: datetime
    updated_at: datetime
