"""What the operations of accounts take and give. Shapes only: the rules are the services'."""

from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictBool

from backend.accounts import rules, selectors
from backend.accounts.models import LicenceCategory, ServiceType, User, VehicleClass
from backend.accounts.services.assistants import AssistantFields, DrivingLicense
from backend.core import clock
from backend.core.actor import SELF_SERVICE, Role
from backend.core.environment import environment
from backend.core.schemas import Day, In, Line, Out, Text
from backend.core.tokens import MAX_TOKEN_LENGTH
from shared_contracts.events import Place

NEW_CONTACT = "A new one is pending until it is confirmed; the present one withdraws it"
LEFT_OUT: Any = Field(default_factory=lambda: None)
"""The default of a field that may be left out, but not be null: read it from `model_fields_set` only."""

SelfServiceRole = StrEnum("SelfServiceRole", {role.name: role.value for role in Role if role in SELF_SERVICE})  # type: ignore[misc]
RegistrationRole = StrEnum("RegistrationRole", {role.name: role.value for role in Role if role is not Role.ADMIN})  # type: ignore[misc]


def _email(text: str) -> str:
    if not rules.is_email(text):
        raise ValueError("this is no e-mail address")
    return text


def _phone_number(text: str) -> str:
    number = rules.phone_number(text, default_region=environment().default_phone_region)
    if number is None:
        raise ValueError("this is no telephone number; the international form is +213550123456")
    return number


def _country(text: str) -> str:
    if text and text.upper() not in _countries():
        raise ValueError("a country is named by its two letters, ISO 3166-1")
    return text.upper()


@cache
def _countries() -> frozenset[str]:
    table = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text()
    return frozenset(line[:2] for line in table.splitlines() if not line.startswith("#"))


def _time_zone(text: str) -> str:
    if text not in _time_zones():
        raise ValueError("a time zone is named as in the IANA database, such as Africa/Algiers")
    return text


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _without_doubles(roles: list[Any]) -> list[Any]:
    if len(set(roles)) < len(roles):
        raise ValueError("a role stands here twice")
    return roles


OneLine = Annotated[Line, AfterValidator(rules.one_line)]
Name = Annotated[OneLine, Field(min_length=1, max_length=150, examples=["Amel Haddad"])]
FirstName = Annotated[OneLine, Field(min_length=1, max_length=150, examples=["Amel"])]
LastName = Annotated[OneLine, Field(max_length=150, examples=["Haddad"])]
Email = Annotated[Line, Field(max_length=254, examples=["amel@example.org"]), AfterValidator(_email)]
PhoneNumber = Annotated[
    Line,
    Field(max_length=40, description="National forms are read in the default region.", examples=["+213550123456"]),
    AfterValidator(_phone_number),
]
Username = Annotated[
    str,
    Field(
        min_length=3,
        max_length=40,
        # Without a letter it could be read as a telephone number at sign-in.
        pattern=r"^[0-9._-]*[A-Za-z][A-Za-z0-9._-]*$",
        examples=["amel-haddad"],
    ),
]
Otp = Annotated[
    Line,
    Field(
        min_length=6,
        max_length=40,
        description="Six digits of the authenticator; instead of them also a recovery code, where two-factor is on.",
        examples=["492039"],
    ),
]
Password = Annotated[Text, Field(max_length=128, examples=["correct horse battery staple"])]
City = Annotated[Line, Field(max_length=100, examples=["Algiers"])]
Country = Annotated[Line, Field(max_length=2, examples=["DZ"]), AfterValidator(_country)]
Address = Annotated[Line, Field(max_length=300, examples=["12 rue Didouche Mourad"])]
Bio = Annotated[Line, Field(max_length=1000, examples=["Twelve years on the road."])]
TimeZone = Annotated[Line, Field(max_length=64, examples=["Africa/Algiers"]), AfterValidator(_time_zone)]
Language = Annotated[str, Field(max_length=10, pattern="^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", examples=["fr"])]
VehicleType = Annotated[Line, Field(min_length=1, max_length=100, examples=["Renault tow truck"])]
RegistrationNumber = Annotated[
    Line,
    BeforeValidator(
        lambda given: str(given) if type(given) is int and abs(given) < 10**20 else given,
        json_schema_input_type=Annotated[str, Field(min_length=1, max_length=20)]
        | Annotated[int, Field(gt=-(10**20), lt=10**20)],
    ),
    Field(min_length=1, max_length=20, description="A whole number is kept as its text.", examples=["00123-116-16"]),
]


class PlaceIn(Place, In):
    """A point on the earth, WGS 84 degrees."""


class DrivingLicenseIn(In):
    """A driving licence that has not run out."""

    category: LicenceCategory
    number: Annotated[Line, Field(min_length=1, max_length=40, examples=["DZ-2210457"])]
    expires_on: Annotated[Day, Field(examples=["2031-06-30"])]


class AssistantFieldsIn(In):
    """What an assistant must show: vehicle and licence. Fields may be left out; the services say which are missing."""

    service_type: ServiceType = LEFT_OUT
    vehicle_type: VehicleType = LEFT_OUT
    vehicle_class: VehicleClass = LEFT_OUT
    driving_license: DrivingLicenseIn = LEFT_OUT
    vehicle_registration_number: RegistrationNumber = LEFT_OUT

    def assistant_fields(self) -> AssistantFields:
        """The given ones of these fields, as the services take them."""
        licence: DrivingLicenseIn | None = self.driving_license
        return AssistantFields(
            service_type=self.service_type,
            vehicle_type=self.vehicle_type,
            vehicle_class=self.vehicle_class,
            driving_license=DrivingLicense(licence.category, licence.number, licence.expires_on) if licence else None,
            vehicle_registration_number=self.vehicle_registration_number,
        )


class RegisterIn(AssistantFieldsIn):
    """A new account: a name, an e-mail address or a phone number or both, and a password."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "roles": ["client"],
                    "name": "Amel Haddad",
                    "email": "amel@example.org",
                    "phone_number": "+213550123456",
                    "password": "correct horse battery staple",
                }
            ]
        }
    )

    roles: Annotated[
        list[RegistrationRole],
        Field(
            min_length=1,
            max_length=len(RegistrationRole),
            description="`manager` with an invitation only.",
            examples=[["client"]],
        ),
        AfterValidator(_without_doubles),
    ]
    name: Name | None = None
    first_name: FirstName | None = None
    last_name: LastName | None = None
    email: Email | None = None
    phone_number: PhoneNumber | None = None
    username: Annotated[Username | None, Field(description="Made from the name when left out.")] = None
    password: Annotated[Password, Field(min_length=8)]
    city: City = ""
    country: Country = ""
    address: Address = ""
    location: PlaceIn | None = None
    invitation: Annotated[
        Text | None,
        Field(
            min_length=1,
            max_length=100,
            description="The token of an invitation for managers.",
            examples=["3q2-7wEAAcT…"],
        ),
    ] = None


class OpenIdLoginIn(In):
    """What an issuer of OpenID Connect gave to the app."""

    token: Annotated[Text, Field(min_length=1, max_length=MAX_TOKEN_LENGTH, examples=["eyJhbGciOiJSUzI1NiIs…"])]
    provider: Annotated[
        str,
        Field(
            pattern="^[a-z0-9_-]{1,40}$",
            description="Another than Google, by its name in OPENID_PROVIDERS.",
            examples=["google"],
        ),
    ] = "google"
    nonce: Annotated[
        Text | None,
        Field(
            min_length=1,
            max_length=200,
            description="The one that the app asked the token with.",
            examples=["n-0S6_WzA2Mj"],
        ),
    ] = None
    otp: Annotated[Otp | None, Field(description="A code of the second factor, where it is on.")] = None


class LoginIn(In):
    """Who signs in."""

    identifier: Annotated[
        Line,
        Field(
            min_length=1,
            max_length=254,
            description="E-mail address, phone number or username.",
            examples=["amel@example.org"],
        ),
    ]
    password: Annotated[Password, Field(min_length=1)]
    roles: Annotated[
        list[Role] | None,
        Field(min_length=1, max_length=len(Role), description="Only an account that holds one of these."),
    ] = None
    otp: Annotated[Otp | None, Field(description="A code of the second factor, where it is on.")] = None


class RefreshIn(In):
    """A refresh token that was not used yet."""

    refresh: Annotated[Text, Field(min_length=1, max_length=MAX_TOKEN_LENGTH, examples=["eyJhbGciOiJIUzI1NiIs…"])]


class TwoFactorIn(In):
    """Whose second factor it will be is proved by the password; who signed in within five minutes may leave it out."""

    password: Annotated[Password | None, Field(min_length=1)] = None


class TwoFactorOut(Out):
    """Shown once: the secret for the authenticator, as text and as the content of a QR code, and recovery codes."""

    secret: Annotated[str, Field(examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])]
    otpauth_uri: Annotated[str, Field(examples=["otpauth://totp/Callout:amel%40example.org?secret=JBSWY3DPEHPK3PXP"])]
    recovery_codes: Annotated[list[str], Field(description="Each signs in once.", examples=[["7gk2mx-94hvtd-…"]])]


class TwoFactorConfirmIn(In):
    """What the authenticator shows."""

    otp: Annotated[str, Field(pattern="^[0-9]{6}$", examples=["492039"])]


class TwoFactorProofIn(In):
    """Both proofs. An account without a password signs in within five minutes before instead."""

    password: Annotated[Password | None, Field(min_length=1)] = None
    otp: Otp


class RecoveryCodesOut(Out):
    """Shown once. Each signs in once."""

    recovery_codes: Annotated[list[str], Field(examples=[["7gk2mx-94hvtd-…"]])]


class InvitationIn(In):
    """Whom it is for: the owner of an e-mail address, or without one whoever gets the token."""

    email: Email | None = None


class InvitationOut(Out):
    """An invitation to become a manager."""

    id: int
    email: str | None
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    accepted_by_id: int | None


class NewInvitationOut(InvitationOut):
    """With its token, shown this once; null for one that is bound to an e-mail address."""

    token: str | None


class LogoutIn(In):
    """What ends: this session, or all."""

    all: Annotated[StrictBool, Field(description="End every session of mine, on all devices.")] = False


class RoleIn(AssistantFieldsIn):
    """One more role, with what it asks for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "role": "assistant",
                    "service_type": "towing",
                    "vehicle_type": "Renault tow truck",
                    "driving_license": {"category": "c", "number": "DZ-2210457", "expires_on": "2031-06-30"},
                    "vehicle_registration_number": "00123-116-16",
                }
            ]
        }
    )

    role: SelfServiceRole


class ProfileIn(In):
    """What changes; a field that is left out stays as it is."""

    name: Name = LEFT_OUT
    first_name: FirstName = LEFT_OUT
    last_name: LastName = LEFT_OUT
    email: Annotated[Email | None, Field(description=NEW_CONTACT + "; null removes it.")] = LEFT_OUT
    phone_number: Annotated[PhoneNumber | None, Field(description=NEW_CONTACT + "; null removes it.")] = LEFT_OUT
    username: Username = LEFT_OUT
    bio: Bio = LEFT_OUT
    city: City = LEFT_OUT
    country: Country = LEFT_OUT
    address: Address = LEFT_OUT
    location: Annotated[PlaceIn | None, Field(description="Null removes it.")] = LEFT_OUT
    time_zone: TimeZone = LEFT_OUT
    language: Language = LEFT_OUT
    hide_presence: StrictBool = LEFT_OUT
    current_password: Annotated[
        Password | None,
        Field(min_length=1, description="Proof for a new e-mail address or phone number."),
    ] = None

    def changes(self) -> dict[str, Any]:
        """Only the fields that were given."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"current_password"}}


class PhotoOut(Out):
    """Addresses of a photo's three squares, WebP of 64, 256 and 1024 pixels a side. They expire: read them anew."""

    small: Annotated[str, Field(examples=["/files/WyJwaG90b3Mv…"])]
    medium: str
    large: str


class UserOut(Out):
    """A person as they see themselves."""

    id: int
    username: str
    name: str
    first_name: str
    last_name: str
    email: str | None
    phone_number: str | None
    roles: list[Role]
    bio: str
    city: str
    country: str
    address: str
    location: Place | None
    time_zone: str
    language: str
    hide_presence: bool
    photo: PhotoOut | None
    is_verified: bool
    pending_email: Annotated[str | None, Field(description="Takes the other's place as soon as it is confirmed.")]
    pending_phone_number: Annotated[str | None, Field(description="As `pending_email`.")]
    created_at: datetime

    @staticmethod
    def resolve_photo(user: User) -> dict[str, str] | None:
        return selectors.photo_links(user.photo, now=clock.now())

    @staticmethod
    def resolve_location(user: User) -> Place | None:
        return None if user.lat is None or user.lng is None else Place(lat=user.lat, lng=user.lng)


class SignedInOut(Out):
    """Who signed in, and their tokens: `access` for the `Authorization` header, `refresh` for the next pair."""

    user: UserOut
    access: str
    refresh: str
