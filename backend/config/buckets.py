"""The bucket that files go to, where one is configured."""

from typing import Any

from backend.core.environment import Environment

CONNECT_SECONDS, READ_SECONDS = 3, 10


def storage(env: Environment) -> dict[str, Any] | None:
    """django-storages' S3 as an entry of STORAGES; None without FILES_BUCKET. It needs no network yet."""
    if not env.files_bucket:
        return None
    from botocore.config import Config  # noqa: PLC0415 - a tenth of a second that only buckets need

    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.files_bucket,
            "endpoint_url": env.files_endpoint_url or None,
            "region_name": env.files_region,
            "access_key": env.files_access_key or None,
            "secret_key": env.files_secret_key or None,
            "client_config": Config(
                signature_version="s3v4",
                # MinIO and its like serve a bucket as a folder; they know no checksums of the newest kind.
                s3={"addressing_style": "path" if env.files_endpoint_url else "virtual"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"max_attempts": 2},
            ),
        },
    }
