"""People, how they prove who they are, their sessions, and what assistants must show: vehicle and licence."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from backend.core.actor import Role


class ServiceType(models.TextChoices):
    TOWING = "towing"
    REPAIR = "repair"


class VehicleClass(models.TextChoices):
    LIGHT = "light"
    HEAVY = "heavy"


class LicenceCategory(models.TextChoices):
    B = "b"
    C = "c"


class Skill(models.Model):
    """Something that people can do, from the one list that the platform keeps."""

    name = models.CharField(max_length=60)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_skill"
        constraints = [
            models.UniqueConstraint(Lower("name"), name="skill_name_once"),
            models.CheckConstraint(condition=~Q(name=""), name="skill_has_a_name"),
        ]


DELETED_NAME = "Deleted account"
"""How everybody who is gone is called, and nobody else: apps may show it in words of their own."""

NOTHING_PENDING: Mapping[str, Any] = {"pending_email": None, "pending_phone_number": None, "pending_since": None}

NOBODY: Mapping[str, Any] = {
    **NOTHING_PENDING,
    "name": DELETED_NAME,
    "first_name": "",
    "last_name": "",
    "email": None,
    "email_verified_at": None,
    "phone_number": None,
    "phone_verified_at": None,
    "roles": [],
    "is_active": False,
    "is_verified": False,
    "bio": "",
    "city": "",
    "country": "",
    "address": "",
    "lat": None,
    "lng": None,
    "time_zone": "UTC",
    "language": "en",
    "hide_presence": False,
    "photo": "",
    "password": "!",
}
"""The columns of a person whose account was deleted. What stays is the id, and when they came and went."""


def _holding(values: Mapping[str, Any]) -> Q:
    return Q(**{f"{name}__isnull" if value is None else name: value is None or value for name, value in values.items()})


class User(AbstractBaseUser):
    """A person. E-mail and phone number may be missing, but not both; the username is always there.

    The row of who was deleted stays, because what they did refers to it: it is NOBODY's.
    """

    last_login = None  # the sessions know

    username = models.CharField(max_length=40)
    # Null, never empty: what is missing is not unique.
    email = models.EmailField(max_length=254, null=True)  # noqa: DJ001
    phone_number = models.CharField(max_length=16, null=True)  # noqa: DJ001
    """E.164 in shape."""
    phone_signs_in = models.BooleanField(default=True)
    """Whether the number identifies the account; numbers are unique among those that do."""
    name = models.CharField(max_length=150)
    first_name = models.CharField(max_length=150)
    last_name = models.CharField(max_length=150)
    """Empty for those who have one name only."""
    roles = ArrayField(models.CharField(max_length=12, choices=[(role.value, role.value) for role in Role]))
    is_active = models.BooleanField(default=True)
    is_verified = models.BooleanField(default=False)
    """Whether an address or number was proved since either was last changed."""
    email_verified_at = models.DateTimeField(null=True)
    """When this person proved that the present e-mail address is theirs. `is_verified` may also rest on a number."""
    email_proved_apart = models.BooleanField(default=False, db_default=False)
    """Whether nobody saw that who proved it has the account, too: a stranger may have made it, for a mail to be clicked
    that nobody asked for."""
    phone_verified_at = models.DateTimeField(null=True)
    # Where the person wants to be reached instead, once they have confirmed it. Until then it is nobody's: not unique,
    # it signs nobody in and recovers nothing.
    pending_email = models.EmailField(max_length=254, null=True)  # noqa: DJ001
    pending_phone_number = models.CharField(max_length=16, null=True)  # noqa: DJ001
    pending_since = models.DateTimeField(null=True)
    """When the later of the two was given."""
    bio = models.CharField(max_length=1000, default="")
    city = models.CharField(max_length=100, default="")
    country = models.CharField(max_length=2, default="")
    """ISO 3166-1 alpha-2."""
    address = models.CharField(max_length=300, default="")
    lat = models.FloatField(null=True)
    lng = models.FloatField(null=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    language = models.CharField(max_length=10, default="en")
    hide_presence = models.BooleanField(default=False)
    photo = models.CharField(max_length=60, default="")
    """The folder of its squares in storage; empty without one."""
    skills = models.ManyToManyField(Skill, through="UserSkill", related_name="people")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)
    """When the person had the account deleted; all that was theirs is gone from this row."""

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = []

    class Meta:
        db_table = "accounts_user"
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_username_once"),
            models.UniqueConstraint(Lower("email"), name="user_email_once"),
            models.UniqueConstraint(fields=["phone_number"], condition=Q(phone_signs_in=True), name="user_phone_once"),
            models.CheckConstraint(
                condition=Q(email__isnull=False) | Q(phone_number__isnull=False) | Q(deleted_at__isnull=False),
                name="user_reachable",
            ),
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True) & ~Q(name=DELETED_NAME)
                | Q(deleted_at__isnull=False, username__startswith="~") & _holding(NOBODY),
                name="user_deleted_is_nobody",
            ),
            models.CheckConstraint(
                # A comparison with null would be let pass.
                condition=Q(lat__isnull=True, lng__isnull=True)
                | Q(lat__isnull=False, lng__isnull=False, lat__range=(-90, 90), lng__range=(-180, 180)),
                name="user_place_on_earth",
            ),
            models.CheckConstraint(
                condition=Q(roles__contained_by=[role.value for role in Role])
                & (~Q(roles=[]) | Q(deleted_at__isnull=False)),
                name="user_has_roles",
            ),
            models.CheckConstraint(
                condition=Q(pending_since__isnull=True, pending_email__isnull=True, pending_phone_number__isnull=True)
                | Q(pending_since__isnull=False)
                & (Q(pending_email__isnull=False) | Q(pending_phone_number__isnull=False)),
                name="user_pending_since",
            ),
        ]
        indexes = [
            models.Index(fields=["pending_since"], condition=Q(pending_since__isnull=False), name="user_pending"),
        ]

    def is_pending(self, address: str) -> bool:
        """Whether this e-mail address, however written, or number waits to be confirmed."""
        return address.lower() in (self.pending_email and self.pending_email.lower(), self.pending_phone_number)

    @property
    def owns_email(self) -> bool:
        """Whether the account is the e-mail address's owner's, as far as can be known."""
        return self.email_verified_at is not None and not self.email_proved_apart


class UserSkill(models.Model):
    """What somebody says that they can do."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    skill = models.ForeignKey(Skill, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_user_skill"
        constraints = [models.UniqueConstraint(fields=["user", "skill"], name="user_skill_once")]


class AssistantProfile(models.Model):
    """An assistant's vehicle and licence. Dispatch keeps a copy of what matching needs."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="assistant_profile")
    service_type = models.CharField(max_length=6, choices=ServiceType.choices)
    vehicle_type = models.CharField(max_length=100)
    vehicle_class = models.CharField(max_length=5, choices=VehicleClass.choices, default=VehicleClass.LIGHT)
    licence_category = models.CharField(max_length=1, choices=LicenceCategory.choices)
    licence_number = models.CharField(max_length=40)
    licence_expires_on = models.DateField()
    vehicle_registration_number = models.CharField(max_length=20)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_assistant_profile"


class Session(models.Model):
    """A device that is signed in. Ended means ended: its tokens stop at once, over REST and sockets."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    """The absolute end, however often the tokens are refreshed."""
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=30, default="")
    client_address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=300, default="")

    class Meta:
        db_table = "accounts_session"
        indexes = [
            models.Index(fields=["user", "-id"], condition=Q(ended_at__isnull=True), name="session_alive"),
            models.Index(fields=["expires_at"], name="session_expiry"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="session_ended"),
        ]


class RefreshToken(models.Model):
    """One link of a session's chain of refresh tokens. A parent has one successor, whoever asks how often.

    What was replaced long ago is purged, so the oldest that is left has no parent any more.
    """

    jti = models.UUIDField(primary_key=True)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    parent = models.OneToOneField("self", on_delete=models.SET_NULL, null=True, related_name="successor")
    device = models.BinaryField(max_length=32)
    """SHA-256 of the agent and address that it was given to: the same device may ask twice within the grace."""
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_refresh_token"
        indexes = [
            models.Index(fields=["issued_at"], condition=Q(parent__isnull=False), name="refresh_token_replacing"),
        ]


class SecondFactor(models.Model):
    """A person's TOTP (RFC 6238). Without `confirmed_at` it is being set up and guards nothing yet."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="second_factor")
    sealed_secret = models.BinaryField(max_length=60)
    """Encrypted for this person with a key made from SECRET_KEY."""
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    last_step = models.BigIntegerField(default=0)
    """The time step of the last code that was taken: none up to it is taken again."""
    failures = models.PositiveSmallIntegerField(default=0)
    """Wrong codes in a row."""
    failed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "accounts_second_factor"


class RecoveryCode(models.Model):
    """A code for who lost the phone. It works once: then the row is deleted."""

    factor = models.ForeignKey(SecondFactor, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.BinaryField(max_length=32)
    """SHA-256; the code has 118 random bits, so that no slower hash is needed."""

    class Meta:
        db_table = "accounts_recovery_code"
        constraints = [models.UniqueConstraint(fields=["factor", "digest"], name="recovery_code_once")]


class ExternalIdentity(models.Model):
    """An account elsewhere (OpenID Connect) that signs this person in: known by issuer and subject, never by e-mail."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_external_identity"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="identity_signs_in_one")]


class Invitation(models.Model):
    """An admin's word that somebody may become a manager: whoever shows the token, or proves the e-mail address."""

    # Null for those by token.
    email = models.EmailField(max_length=254, null=True)  # noqa: DJ001
    token_digest = models.BinaryField(max_length=32, null=True)
    """SHA-256 of 32 random bytes; null for those bound to an e-mail address."""
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        db_table = "accounts_invitation"
        constraints = [
            models.UniqueConstraint(fields=["token_digest"], name="invitation_token_once"),
            models.CheckConstraint(
                condition=Q(email__isnull=True) ^ Q(token_digest__isnull=True), name="invitation_by_one_means"
            ),
        ]
        indexes = [
            models.Index(Lower("email"), condition=Q(accepted_at__isnull=True), name="invitation_open"),
            models.Index(fields=["expires_at"], name="invitation_expiry"),
        ]


class CodePurpose(models.TextChoices):
    VERIFY_EMAIL = "verify_email"
    VERIFY_PHONE = "verify_phone"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose, not a secret


class Code(models.Model):
    """A request for a code, and the code that the job made for it: six digits, kept as a digest.

    Every request leaves a row, also one for an address that no account has: what is asked cannot be told from it, and
    it counts against the limits. Only the newest of a purpose, address and lane is good for anything.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    purpose = models.CharField(max_length=14, choices=CodePurpose.choices)
    address = models.CharField(max_length=254)
    """An e-mail address in small letters, or a phone number in E.164."""
    lane = models.CharField(max_length=24, default="", db_default="")
    """Whose request it is, where that is known: it replaces no other's. `user:7` wants the address for an account; an
    `owner` has it, and asks on a device that the account knows."""
    asked_from = models.CharField(max_length=43)
    """The network that asked: an IPv4 address, or the /64 of an IPv6 one."""
    created_at = models.DateTimeField()
    # All of these are empty until the job has found the account and sent the code; but who wants an address is known.
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="codes")
    digest = models.BinaryField(max_length=32, null=True)
    expires_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    """By strangers, or whoever cannot be told from them."""
    owner_tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    """On devices that are known to the account."""
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "accounts_code"
        constraints = [
            models.CheckConstraint(condition=Q(tries__lte=5), name="code_five_tries"),
            models.CheckConstraint(condition=Q(owner_tries__lte=5), name="code_five_tries_of_its_owner"),
        ]
        indexes = [
            models.Index(fields=["address", "-created_at"], name="code_of_address"),
            models.Index(fields=["asked_from", "created_at"], name="code_asked_from"),
            models.Index(fields=["created_at"], name="code_age"),
        ]


class SignInDelay(models.Model):
    """How often a password was tried in vain for one account, or from one network, and when the next try may come."""

    key = models.CharField(primary_key=True, max_length=64)
    """A digest: of an account, an identifier that no account has, a device of an account, or a network."""
    failures = models.PositiveIntegerField()
    tried_at = models.DateTimeField()
    next_try_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_sign_in_delay"
        indexes = [models.Index(fields=["tried_at"], name="sign_in_delay_age")]


class Address(models.Model):
    """A place of a person, such as home or work. One of them may be the primary one."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="addresses")
    street_address = models.CharField(max_length=300)
    city = models.CharField(max_length=100)
    state = models.CharField(max_length=100, default="")
    zip_code = models.CharField(max_length=20, default="")
    country = models.CharField(max_length=2, default="")
    """ISO 3166-1 alpha-2."""
    is_primary = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_address"
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(is_primary=True), name="address_one_primary")
        ]
