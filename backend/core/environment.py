"""Every setting of the backend and the workers, typed, with its unit in its name; `.env.example` documents them.

A missing or wrong value stops the start with a sentence (`SettingsError`), never with a traceback.
"""

import base64
import ipaddress
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared_contracts.token_keys import MINIMUM_SECRET_BYTES, TokenKey, parse_texts, read_keys

ROOT = Path(__file__).resolve().parents[2]
DEVELOPMENT_SECRET = "development-only-secret-key-not-for-production"  # noqa: S105 - refused in production

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

CommaList = Annotated[tuple[str, ...], NoDecode]
# Read by ourselves: pydantic-settings would add the keys in `.env` to those in the environment, and none could retire.
KeyTexts = Annotated[dict[str, str], NoDecode, BeforeValidator(parse_texts)]


class OpenIdProvider(BaseModel):
    """An issuer of ID tokens, all spellings of its name (the first is kept), our names there, and its keys' address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuers: tuple[str, ...] = Field(min_length=1)
    client_ids: tuple[str, ...] = Field(min_length=1)
    jwks_url: str = Field(pattern=r"^https?://[!-~]+$")


class FcmAccount(BaseModel):
    """A Google service account that may send pushes: what matters of the JSON file that Google gives."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    project_id: str = Field(pattern=r"^[a-z0-9-]+$")
    client_email: str = Field(min_length=1)
    private_key: str
    token_uri: str = Field("https://oauth2.googleapis.com/token", pattern=r"^https?://\S+$")

    @field_validator("private_key")
    @classmethod
    def check_key(cls, value: str) -> str:
        try:
            is_rsa = isinstance(load_pem_private_key(value.encode(), None), RSAPrivateKey)
        except (TypeError, ValueError):
            is_rsa = False
        if not is_rsa:
            raise ValueError("the private_key is no RSA key in PEM")
        return value


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one sentence for whoever starts the process."""


class Environment(BaseSettings):
    """The environment's variables, `.env` below them."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    environment: Literal["development", "test", "production"] = "development"
    debug: bool = False
    secret_key: str = DEVELOPMENT_SECRET
    allowed_hosts: CommaList = ("localhost", "127.0.0.1", "[::1]")
    callout_home: str = ".callout"

    database_url: str = "postgresql://callout_app@localhost:5432/callout"
    database_owner_url: str = ""
    database_pool_size: int = Field(8, ge=1, le=100)
    redis_url: str = "redis://localhost:6379/0"

    token_keys: KeyTexts = Field({"dev": DEVELOPMENT_SECRET}, min_length=1)
    access_token_minutes: int = Field(15, ge=1, le=60)
    refresh_token_days: int = Field(30, ge=1, le=90)
    refresh_grace_seconds: int = Field(10, ge=0, le=60)
    require_two_factor_for_managers: bool = False
    openid_providers: Annotated[dict[str, OpenIdProvider], NoDecode, BeforeValidator(parse_texts)] = {}
    realtime_credential: str = DEVELOPMENT_SECRET

    backend_host: str = "127.0.0.1"
    backend_port: int = Field(8000, ge=0, le=65535)
    backend_workers: int = Field(2, ge=1, le=64)
    backend_threads: int = Field(4, ge=1, le=64)
    backend_drain_seconds: float = Field(0, ge=0, le=15)
    worker_health_port: int = Field(8002, ge=0, le=65535)
    relay_health_port: int = Field(8003, ge=0, le=65535)
    worker_threads: int = Field(8, ge=1, le=64)
    backend_replicas: int = Field(1, ge=1, le=1000)
    worker_replicas: int = Field(1, ge=1, le=1000)
    relay_replicas: int = Field(1, ge=1, le=1000)

    files_folder: str = ""
    files_bucket: str = ""
    files_endpoint_url: str = ""
    files_region: str = "us-east-1"
    files_access_key: str = ""
    files_secret_key: str = ""
    require_approved_licence: bool = False

    cors_allowed_origins: CommaList = ()
    trusted_proxies: CommaList = ()
    public_url: str = Field("", pattern=r"^(https?://[^\s?#]+)?$")
    app_url: str = Field("", pattern=r"^(https?://[^\s?#]+)?$")
    email_host: str = ""
    email_port: int = Field(587, ge=1, le=65535)
    email_security: Literal["starttls", "tls", "none"] = "starttls"
    email_user: str = ""
    email_password: str = ""
    email_from: str = Field("Callout <no-reply@localhost>", pattern=r"^[^\r\n]*@[^\s@>]+>?$")
    twilio_url: str = Field("https://api.twilio.com", pattern=r"^https?://\S+$")
    twilio_account_sid: str = Field("", pattern="^[A-Za-z0-9]*$")
    twilio_auth_token: str = ""
    twilio_number: str = ""
    sms_per_day: int = Field(1000, ge=1)
    sms_per_prefix_per_day: int = Field(500, ge=1)

    vapid_private_key: str = Field("", pattern=r"^([A-Za-z0-9_-]{43}=?)?$")
    vapid_subject: str = Field("mailto:no-reply@localhost", pattern=r"^(mailto:|https://)\S+$")
    fcm_service_account: Annotated[FcmAccount | None, NoDecode, BeforeValidator(parse_texts)] = None
    fcm_url: str = Field("https://fcm.googleapis.com", pattern=r"^https?://\S+$")
    fan_out_per_second: int = Field(50, ge=1, le=10_000)
    notify_managers_of_bookings: bool = False
    message_push_seconds: int = Field(10, ge=0, le=3600)
    notifications_read_days: int = Field(90, ge=1, le=3650)
    notifications_unread_days: int = Field(180, ge=1, le=3650)

    log_format: Literal["console", "json"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    clock_movable: bool = False
    rate_limits: bool = True
    limit_per_address_per_minute: int = Field(1200, ge=1)
    limit_per_user_per_minute: int = Field(600, ge=1)
    limit_sign_in_per_address_per_minute: int = Field(30, ge=1)
    default_phone_region: str = Field("DZ", pattern=r"^[A-Z]{2}$")

    position_fresh_seconds: int = Field(120, ge=5, le=3600)
    wave_radii_km: CommaList = ("5", "10", "20")
    wave_size: int = Field(10, ge=1, le=500)
    wave_seconds: float = Field(20, ge=0.1, le=600)
    request_minutes: float = Field(10, ge=0.1, le=1440)
    quote_minutes: float = Field(15, ge=0.1, le=1440)
    osrm_url: str = Field("", pattern=r"^(https?://[^\s/?#]+[^\s?#]*)?$")
    position_history_days: int = Field(90, ge=1, le=3650)

    @field_validator("allowed_hosts", "cors_allowed_origins", "trusted_proxies", "wave_radii_km", mode="before")
    @classmethod
    def split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("vapid_private_key")
    @classmethod
    def check_vapid_key(cls, value: str) -> str:
        if value and not 0 < int.from_bytes(base64.urlsafe_b64decode(value.rstrip("=") + "="), "big") < P256_ORDER:
            raise ValueError("it is no private key of P-256")
        return value

    @field_validator("wave_radii_km")
    @classmethod
    def check_radii(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        radii = [float(radius) for radius in value]
        if not radii or radii != sorted(radii) or not 0 < radii[0] <= radii[-1] <= 500:
            raise ValueError("kilometres between 0 and 500, in growing order")
        return value

    @field_validator("token_keys")
    @classmethod
    def check_token_keys(cls, value: dict[str, str]) -> dict[str, str]:
        for kid, key in read_keys(value).items():
            if key.signing is None:
                raise ValueError(f"the key {kid} is a public key, which cannot sign: it belongs in TOKEN_PUBLIC_KEYS")
        return value

    @model_validator(mode="after")
    def refuse_half_an_sms_account(self) -> Self:
        if self.twilio_account_sid and not (self.twilio_auth_token and self.twilio_number):
            raise ValueError("TWILIO_ACCOUNT_SID needs TWILIO_AUTH_TOKEN and TWILIO_NUMBER")
        return self

    @model_validator(mode="after")
    def refuse_unsafe_production(self) -> Self:
        if self.environment != "production":
            return self
        secrets = {
            "SECRET_KEY": self.secret_key,
            "REALTIME_CREDENTIAL": self.realtime_credential,
            **{f"TOKEN_KEYS[{kid}]": self.token_keys[kid] for kid, key in self.keys.items() if key.is_shared},
        }
        for name, secret in secrets.items():
            if secret == DEVELOPMENT_SECRET or len(secret.encode()) < MINIMUM_SECRET_BYTES:
                raise ValueError(f"{name} must be a secret of its own, {MINIMUM_SECRET_BYTES} bytes or longer")
        if any(not provider.jwks_url.startswith("https://") for provider in self.openid_providers.values()):
            raise ValueError("OPENID_PROVIDERS must name https addresses in production")
        if self.debug:
            raise ValueError("DEBUG must be off in production")
        if not self.allowed_hosts or "*" in self.allowed_hosts:
            raise ValueError("ALLOWED_HOSTS must name the hosts that are served")
        if "*" in self.cors_allowed_origins:
            raise ValueError("CORS_ALLOWED_ORIGINS must name the origins that are let in")
        if self.clock_movable:
            raise ValueError("CLOCK_MOVABLE is for tests and demonstrations")
        if not self.rate_limits:
            raise ValueError("RATE_LIMITS must be on in production")
        self._refuse_mails_that_reach_nobody()
        return self

    def _refuse_mails_that_reach_nobody(self) -> None:
        """Without mails nobody can prove an address, recover an account or learn that somebody else is in it."""
        if not self.email_host:
            raise ValueError("EMAIL_HOST must name the SMTP server that sends codes and notices")
        if self.email_password and self.email_security == "none":
            raise ValueError("EMAIL_SECURITY must be starttls or tls where a password is sent")
        if self.email_from.rstrip(">").endswith("@localhost"):
            raise ValueError("EMAIL_FROM must be an address of yours")
        if not self.public_url.startswith("https://"):
            raise ValueError("PUBLIC_URL must be the https address to which the links in mails lead")

    @cached_property
    def keys(self) -> dict[str, TokenKey]:
        """The keys of tokens by their ids; the first one signs."""
        return read_keys(self.token_keys)

    @property
    def link_base(self) -> str:
        """Where the links in mails lead, without a slash at the end."""
        return (self.public_url or f"http://{self.backend_host}:{self.backend_port}").rstrip("/")

    @property
    def owner_url(self) -> str:
        """The database as its owner sees it: for migrations only."""
        return self.database_owner_url or self.database_url


@cache
def environment() -> Environment:
    """The settings of this process, read once. Raises SettingsError with a sentence."""
    try:
        return Environment()
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(detail["loc"], detail["msg"]) for detail in error.errors())) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, location)).upper()
    reason = message.removeprefix("Value error, ")
    return f"The setting {name} is wrong: {reason}" if name else f"The settings are refused: {reason}"
