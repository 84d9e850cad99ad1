"""Files in a bucket: the same operations against a server that speaks S3."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import boto3
import pytest
from django.test import override_settings

from backend.config.buckets import storage
from backend.core import files
from backend.core.environment import Environment, environment
from backend.core.errors import Unavailable
from backend.media.services import storing
from tests.backend.media.corpus import PDF, picture
from tests.backend.media.door import Door
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member, make_member

KEYS = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests", "region_name": "eu-west-3"}


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    door = Door()
    door.open()
    yield door
    door.close()


@pytest.fixture
def env(door: Door) -> Environment:
    return environment().model_copy(
        update={
            "files_bucket": "callout-files",
            "files_endpoint_url": door.url,
            "files_region": "eu-west-3",
            "files_access_key": "tests",
            "files_secret_key": "tests",
        }
    )


@pytest.fixture
def bucket(env: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = boto3.resource("s3", endpoint_url=env.files_endpoint_url, **KEYS).create_bucket(
        Bucket="callout-files", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"}
    )
    monkeypatch.setattr(files, "environment", lambda: env)
    with override_settings(STORAGES={"default": storage(env)}):
        yield made
    made.objects.all().delete()
    made.delete()


@pytest.fixture
def owner(db: None, at: Moment) -> Member:
    return make_member(now=at.now)


def keys(bucket: Any) -> set[str]:
    return {found.key for found in bucket.objects.all()}


def fetch(link: str) -> tuple[int, str]:
    """The status and the words of a refusal."""
    with pytest.raises(HTTPError) as refused:
        urlopen(link)
    with refused.value:
        (words,) = re.findall("<Message>(.*)</Message>", refused.value.read().decode())
    return refused.value.code, words


class TestBuckets:
    def test_hold_photos_with_their_type(self, owner: Member, bucket: Any) -> None:
        links = Api().as_(owner).upload("PUT", "/me/photo/", picture()).body
        assert len(keys(bucket)) == 3
        assert {found.Object().content_type for found in bucket.objects.all()} == {"image/webp"}
        with urlopen(links["small"]) as response:
            assert response.read(4) == b"RIFF"

    def test_give_links_that_are_signed_expire_and_download(self, owner: Member, bucket: Any) -> None:
        api = Api().as_(owner)
        made = api.upload("POST", "/documents/", PDF, type="other").body
        link = api.get(f"/documents/{made['id']}/").body["download_url"]
        asked = parse_qs(urlsplit(link).query)
        assert asked["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert asked["X-Amz-Expires"] == ["300"]
        assert "/eu-west-3/s3/aws4_request" in asked["X-Amz-Credential"][0]
        with urlopen(link) as response:
            assert response.read() == PDF
            assert response.headers["Content-Type"] == "application/pdf"
            assert response.headers["Content-Disposition"] == f'attachment; filename="other-{made["id"]}.pdf"'

    def test_refuse_a_link_that_has_run_out_or_was_changed(self, owner: Member, bucket: Any, door: Door) -> None:
        """Seen red with links that live a day."""
        api = Api().as_(owner)
        made = [api.upload("POST", "/documents/", PDF, type="other").body["id"] for _ in range(2)]
        link, other = (api.get(f"/documents/{one}/").body["download_url"] for one in made)
        key, other_key = (urlsplit(one).path for one in (link, other))
        door.ahead = timedelta(seconds=295)
        try:
            with urlopen(link) as response:
                assert response.read() == PDF
            door.ahead = timedelta(seconds=301)
            assert fetch(link) == (403, "Request has expired")
        finally:
            door.ahead = timedelta()
        assert fetch(link.replace("X-Amz-Expires=300", "X-Amz-Expires=604800")) == (403, "SignatureDoesNotMatch")
        assert fetch(link.replace(key, other_key)) == (403, "SignatureDoesNotMatch")
        assert fetch(link.partition("?")[0]) == (403, "Anonymous")

    def test_lose_what_nobody_shows(self, owner: Member, bucket: Any, at: Moment) -> None:
        api = Api().as_(owner)
        document = api.upload("POST", "/documents/", PDF, type="other").body["id"]
        before = keys(bucket)
        api.upload("PUT", f"/documents/{document}/", PDF + b"\n")
        assert storing.purge(now=at.now) == 1
        assert len(keys(bucket)) == 1
        assert not keys(bucket) & before
        link = files.link(*before, name="x", content_type="x/x", expires_at=at.now + timedelta(minutes=1), now=at.now)
        with pytest.raises(HTTPError):
            urlopen(link)

    def test_that_are_away_leave_nothing_half_done(self, owner: Member, bucket: Any, env: Environment) -> None:
        away = env.model_copy(update={"files_endpoint_url": "http://127.0.0.1:9"})
        with override_settings(STORAGES={"default": storage(away)}):
            answer = Api().as_(owner).upload("PUT", "/me/photo/", picture())
            assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")
            with pytest.raises(Unavailable):
                files.remove("photos/x")
        assert Api().as_(owner).get("/me/photo/").status == 404

    def test_are_chosen_by_one_setting(self, files_folder: Path) -> None:
        assert storage(environment()) is None
