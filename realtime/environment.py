"""Every setting of the sidecar, typed, with its unit in its name; named as the backend's, see `.env.example`."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared_contracts.token_keys import MINIMUM_SECRET_BYTES, TokenKey, parse_texts, read_key, read_keys

ROOT = Path(__file__).resolve().parents[1]
DEVELOPMENT_SECRET = "development-only-secret-key-not-for-production"  # noqa: S105 - refused in production

CommaList = Annotated[tuple[str, ...], NoDecode]
# Read by ourselves: pydantic-settings would add the keys in `.env` to those in the environment, and none could retire.
KeyTexts = Annotated[dict[str, str], NoDecode, BeforeValidator(parse_texts)]


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one sentence for whoever starts the process."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How often the node looks after itself, in seconds. Tests shorten these; nothing else changes them."""

    heads: float = 10
    """Between two checks of every room's head."""
    heads_jitter: float = 1
    """The heads asked after a reconnect are spread over so long."""
    canary: float = 5
    deaf: float = 15
    """Not hearing the canary for so long, although Redis takes it, is being deaf."""
    sweep: float = 1
    """Between two looks for expired tokens."""
    duty: float = 30
    """Between two signs of life of the assistants on duty."""
    presence: float = 2
    """Between two looks for who is connected."""
    presence_renewal: float = 20
    """Between two notes of one person's being connected; three times as long it holds."""
    subscribe: float = 0.2
    """A join waits at most so long for Redis to confirm the subscription."""
    join_batch: float = 0.003
    """Joins that come within so long are asked in one call."""
    connect: float = 10
    """A connection that has not authenticated by then is closed."""
    send: float = 10
    """One packet may take so long to leave."""
    linger: float = 1
    """What a closing socket still has to read may take so long."""
    drain: float = 2
    """Shutting down waits so long for clients to leave."""
    retry: float = 0.2
    """The first pause before the backend or Redis is asked again; it doubles up to `retry_limit`."""
    retry_limit: float = 5


class Environment(BaseSettings):
    """The environment's variables, `.env` below them."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    environment: Literal["development", "test", "production"] = "development"
    redis_url: str = "redis://localhost:6379/0"
    token_keys: KeyTexts = {}
    token_public_keys: KeyTexts = {}
    realtime_credential: str = DEVELOPMENT_SECRET

    realtime_host: str = "127.0.0.1"
    realtime_port: int = Field(8001, ge=0, le=65535)
    backend_host: str = "127.0.0.1"
    backend_port: int = Field(8000, ge=0, le=65535)
    internal_url: str = ""

    cors_allowed_origins: CommaList = ()
    trusted_proxies: CommaList = ()
    log_format: Literal["console", "json"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_movable: bool = False

    @field_validator("cors_allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("token_public_keys")
    @classmethod
    def check_public_keys(cls, value: dict[str, str]) -> dict[str, str]:
        for kid, key in read_keys(value).items():
            if key.signing is not None:
                raise ValueError(f"the key {kid} is no public key: secrets and private keys are the backend's")
        return value

    @field_validator("token_keys")
    @classmethod
    def check_token_keys(cls, value: dict[str, str]) -> dict[str, str]:
        read_keys(value)
        return value

    @model_validator(mode="after")
    def refuse_unsafe_production(self) -> Self:
        if self.environment != "production":
            return self
        if not (self.token_keys or self.token_public_keys):
            raise ValueError("TOKEN_PUBLIC_KEYS must hold the public keys of the backend's TOKEN_KEYS")
        for kid, key in read_keys(self.token_keys).items():
            if not key.is_shared:
                raise ValueError(f"the key {kid} is a private key: the sidecar takes TOKEN_PUBLIC_KEYS instead")
        secrets = {
            "REALTIME_CREDENTIAL": self.realtime_credential,
            **{f"TOKEN_KEYS[{kid}]": key for kid, key in self.token_keys.items()},
        }
        for name, secret in secrets.items():
            if secret == DEVELOPMENT_SECRET or len(secret.encode()) < MINIMUM_SECRET_BYTES:
                raise ValueError(f"{name} must be a secret of its own, {MINIMUM_SECRET_BYTES} bytes or longer")
        if "*" in self.cors_allowed_origins:
            raise ValueError("CORS_ALLOWED_ORIGINS must name the origins that are let in")
        if self.clock_movable:
            raise ValueError("CLOCK_MOVABLE is for tests and demonstrations")
        return self

    def verifying_keys(self) -> dict[str, TokenKey]:
        """What access tokens are verified with, by key id: public keys, and secrets that the backend signs with."""
        given = read_keys({**self.token_keys, **self.token_public_keys})
        return given or {"dev": read_key(DEVELOPMENT_SECRET)}

    @property
    def backend_url(self) -> str:
        """The backend as this process reaches it, without a slash at the end."""
        return (self.internal_url or f"http://{self.backend_host}:{self.backend_port}").rstrip("/")


def read_environment() -> Environment:
    """The settings of this process. Raises SettingsError with a sentence."""
    try:
        return Environment()
    except ValidationError as error:
        sentences = []
        for detail in error.errors():
            name = ".".join(str(part) for part in detail["loc"]).upper()
            reason = detail["msg"].removeprefix("Value error, ")
            sentences.append(
                f"The setting {name} is wrong: {reason}" if name else f"The settings are refused: {reason}"
            )
        raise SettingsError("; ".join(sentences)) from None
