"""Django's settings, all derived from `environment.py`."""

import sys
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backend.config.buckets import storage
from backend.core.environment import ROOT, SettingsError, environment

try:
    ENV = environment()
except SettingsError as error:
    sys.exit(str(error))


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "backend.core.postgres",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        # A connection is never made per request: it would cost 0.7 ms here and 2.6 ms in PostgreSQL.
        "CONN_MAX_AGE": 0,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            # Lets core.hot prepare its statements; Django's own cursors never do.
            "prepare_threshold": 5,
            "pool": {"min_size": 1, "max_size": ENV.database_pool_size, "timeout": 3, "max_waiting": 32},
            # Where a page is read at random as fast as the next one, an index is worth more than PostgreSQL thinks.
            "options": "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000"
            " -c random_page_cost=1.1",
            **query,
        },
    }


SECRET_KEY = ENV.secret_key
DEBUG = ENV.debug
ALLOWED_HOSTS = list(ENV.allowed_hosts)
DATABASES = {"default": _database(ENV.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",  # the base user class asks for it
    "django.contrib.postgres",  # array columns
    "django.contrib.staticfiles",
    "corsheaders",
    "ninja",  # serves Swagger UI and ReDoc from its own files instead of another host's
    "backend.core",
    "backend.accounts",
    "backend.media",
    "backend.catalog",
    "backend.messaging",
    "backend.dispatch",
    "backend.scheduling",
    "backend.notifications",
]
MIDDLEWARE = [
    "backend.core.middleware.RequestContext",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "backend.core.middleware.RateLimits",
]
ROOT_URLCONF = "backend.config.urls"
WSGI_APPLICATION = "backend.config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["backend.core.passwords.Argon2id"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "username", "name", "first_name", "last_name", "phone_number"]},
    },
]

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "backend.config.formats"
STATIC_URL = "/static/"
STATIC_ROOT = ROOT / ".callout" / "static"

# Where files are kept that go to no bucket: no server serves this folder.
MEDIA_ROOT = ROOT / (ENV.files_folder or f"{ENV.callout_home}/files")
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700
STORAGES = {
    "default": storage(ENV) or {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend" if ENV.email_host else "backend.core.mail.delivery.FolderBackend"
)
EMAIL_HOST, EMAIL_PORT = ENV.email_host, ENV.email_port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = ENV.email_user, ENV.email_password
EMAIL_USE_TLS, EMAIL_USE_SSL = ENV.email_security == "starttls", ENV.email_security == "tls"
EMAIL_TIMEOUT = 10

DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 1
NINJA_FIX_REQUEST_FILES_METHODS: set[str] = set()  # core.uploads reads forms of every method
CORS_ALLOWED_ORIGINS = list(ENV.cors_allowed_origins)
CORS_ALLOW_HEADERS = ["authorization", "content-type", "idempotency-key", "if-match", "x-request-id"]
CORS_EXPOSE_HEADERS = ["etag", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "idempotent-replayed"]

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_HSTS_SECONDS = 31_536_000 if ENV.environment == "production" else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENV.environment == "production"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.trusted_proxies else None

# What escapes a view reaches core.middleware, which answers with a problem and tells the log. Django would answer
# before that, with a page of its own: a connection lost in a decorator of a view would be a 500 that nobody told of.
DEBUG_PROPAGATE_EXCEPTIONS = True

# structlog owns the format of every line (core.logs); Django only hands its records over.
LOGGING_CONFIG = None

NINJA_PAGINATION_MAX_LIMIT = 100
SILENCED_SYSTEM_CHECKS = [
    "security.W002",  # framing is refused by the Content-Security-Policy of core.middleware
    "security.W003",  # no cookie is ever read, so there is nothing to forge a request with
    "security.W008",  # TLS ends at the proxy in front, which redirects
]
