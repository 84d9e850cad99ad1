"""Photos: I5, I6, and what the operations promise."""

import io
import resource
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from django.db import connection
from django.test import Client
from PIL import Image

from backend.accounts import public as accounts
from backend.accounts.models import User
from backend.core import files
from backend.media.models import StoredFile
from backend.media.services import storing
from tests.backend.media.corpus import (
    CANARY,
    EXHAUSTING,
    OTHER_KINDS,
    POLYGLOTS,
    REFUSED,
    exif,
    gif_of_many_frames,
    picture,
    png,
)
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member, make_member

SIZES = {"small": 64, "medium": 256, "large": 1024}


@pytest.fixture
def owner(db: None, at: Moment) -> Member:
    return make_member(now=at.now)


def send(owner: Member, content: bytes, name: str = "me.jpg") -> Answer:
    return Api().as_(owner).upload("PUT", "/me/photo/", content, name)


def fetched(link: str) -> bytes:
    response = Client().get(link)
    assert response.status_code == 200, link
    return b"".join(response)


def status_of(link: str) -> int:
    response = Client().get(link)
    if response.streaming:
        b"".join(response)  # which closes it
    return response.status_code


def stored(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


class TestSetMyPhoto:
    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
    def test_keeps_three_squares(self, owner: Member, form: str) -> None:
        answer = send(owner, picture(form, mode="P" if form == "GIF" else "RGB"))
        assert answer.status == 200, answer.body
        assert answer.body.keys() == SIZES.keys()
        for name, link in answer.body.items():
            with Image.open(io.BytesIO(fetched(link))) as square:
                assert (square.format, square.size) == ("WEBP", (SIZES[name], SIZES[name]))

    @pytest.mark.parametrize("mode", ["L", "LA", "I;16", "CMYK", "RGBA", "P", "1"])
    def test_takes_every_kind_of_pixel(self, owner: Member, mode: str) -> None:
        assert send(owner, picture("JPEG" if mode == "CMYK" else "PNG", mode=mode)).status == 200

    def test_shows_it_in_the_profile(self, owner: Member) -> None:
        api = Api().as_(owner)
        assert api.get("/me/").body["photo"] is None
        links = send(owner, picture()).body
        assert api.get("/me/").body["photo"] == links == api.get("/me/photo/").body

    def test_turns_it_the_right_way_up_and_forgets_where_it_was_taken(self, owner: Member) -> None:
        lying = picture("JPEG", size=(64, 64), exif=exif(6, note=CANARY), quality=95)
        with Image.open(io.BytesIO(fetched(send(owner, lying).body["small"]))) as square:
            assert not square.getexif()
            above, below = (square.convert("RGB").getpixel((32, y)) for y in (8, 56))
        assert isinstance(above, tuple)
        assert isinstance(below, tuple)
        assert above[0] > 200, above  # turned clockwise, left is above
        assert below[2] > 200, below

    def test_takes_the_first_of_50000_frames(self, owner: Member) -> None:
        assert send(owner, gif_of_many_frames(50_000)).status == 200

    def test_takes_25_megapixels_and_no_more(self, owner: Member) -> None:
        assert send(owner, png(5000, 5000)).status == 200
        assert send(owner, png(5000, 5001)).body["detail"] == "It has more than 25 megapixels."

    @pytest.mark.parametrize("name", EXHAUSTING)
    def test_refuses_what_would_exhaust_the_server(self, owner: Member, files_folder: Path, name: str) -> None:
        before, peak = stored(files_folder), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        content = EXHAUSTING[name]()
        peak = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        answer = send(owner, content)
        assert (answer.status, answer.code) == (422, "invalid_image"), answer.body
        assert stored(files_folder) == before
        assert not StoredFile.objects.exists()
        assert User.objects.get(pk=owner.id).photo == ""
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 20 * 1024  # kilobytes

    @pytest.mark.parametrize("name", POLYGLOTS)
    def test_keeps_the_pixels_alone(self, owner: Member, files_folder: Path, name: str) -> None:
        before = stored(files_folder)
        file_name, content = POLYGLOTS[name]
        answer = send(owner, content(), file_name)
        if name in REFUSED:
            assert (answer.status, answer.code) == (422, "invalid_image")
            assert stored(files_folder) == before
            return
        assert answer.status == 200, answer.body
        new = stored(files_folder) - before
        assert {path.name for path in new} == {"64.webp", "256.webp", "1024.webp"}
        for path in new:
            assert CANARY not in path.read_bytes()
            assert b"script" not in path.read_bytes()

    @pytest.mark.parametrize("form", OTHER_KINDS)
    def test_refuses_other_kinds(self, owner: Member, form: str) -> None:
        assert send(owner, picture(form)).code == "invalid_image"

    def test_refuses_more_than_5_mb(self, owner: Member, files_folder: Path) -> None:
        before = stored(files_folder)
        answer = send(owner, picture("JPEG") + b"\0" * 5 * 1024 * 1024)
        assert (answer.status, answer.code) == (413, "too_large")
        assert stored(files_folder) == before

    def test_refuses_a_body_longer_than_it_may_be_before_reading_it(self, owner: Member) -> None:
        answer = send(owner, b"\0" * 6 * 1024 * 1024)
        assert (answer.status, answer.code) == (413, "too_large")

    def test_refuses_other_bodies(self, owner: Member) -> None:
        api = Api().as_(owner)
        assert api.put("/me/photo/", {"file": "x"}).status == 415
        assert api.raw("PUT", "/me/photo/", b"--x--", "multipart/form-data; boundary=x").status == 422
        assert api.raw("PUT", "/me/photo/", b"nothing", "multipart/form-data").status == 400
        assert Api().upload("PUT", "/me/photo/", picture()).status == 401

    def test_stores_in_no_transaction(self, owner: Member, monkeypatch: pytest.MonkeyPatch) -> None:
        depth, seen, put = len(connection.savepoint_ids), set(), files.put

        def noting(key: str, content: object, *, content_type: str) -> None:
            seen.add(len(connection.savepoint_ids))
            put(key, content, content_type=content_type)  # type: ignore[arg-type]

        monkeypatch.setattr(files, "put", noting)
        assert send(owner, picture()).status == 200
        assert seen == {depth}

    def test_leaves_the_photo_of_before_to_the_purge(self, owner: Member, files_folder: Path, at: Moment) -> None:
        outside = stored(files_folder)
        old = send(owner, picture()).body
        first = stored(files_folder)
        send(owner, picture(size=(9, 9)))
        assert storing.purge(now=at.now) == 3
        assert not stored(files_folder) & (first - outside)
        assert status_of(old["small"]) == 404
        assert storing.purge(now=at.now) == 0


class TestReadMyPhoto:
    def test_there_is_none_at_first(self, owner: Member) -> None:
        assert Api().as_(owner).get("/me/photo/").status == 404


class TestDeleteMyPhoto:
    def test_deletes_it_and_its_files(self, owner: Member, at: Moment) -> None:
        links, api = send(owner, picture()).body, Api().as_(owner)
        assert api.delete("/me/photo/").status == 204
        assert api.delete("/me/photo/").status == 204
        assert api.get("/me/photo/").status == 404
        storing.purge(now=at.now)
        assert all(status_of(link) == 404 for link in links.values())


class TestPurge:
    def test_deletes_after_a_day_what_nobody_claimed(self, owner: Member, files_folder: Path, at: Moment) -> None:
        before, key = stored(files_folder), files.new_key("photos", ".webp")
        source = files_folder / "source"
        source.write_bytes(b"x")
        storing.keep({key: source}, content_type="image/webp", now=at.now)
        source.unlink()
        assert storing.purge(now=at.forward(hours=23)) == 0
        assert len(stored(files_folder) - before) == 1
        at.forward(hours=1)
        with pytest.raises(LookupError):
            storing.claim([key], now=at.now)
        assert storing.purge(now=at.now) == 1
        assert stored(files_folder) == before


class TestLinks:
    def test_give_a_download_that_cannot_run(self, owner: Member) -> None:
        response = Client().get(send(owner, picture()).body["large"])
        assert response["Content-Type"] == "image/webp"
        assert response["Content-Disposition"] == 'attachment; filename="photo-1024.webp"'
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
        assert len(b"".join(response)) == int(response["Content-Length"])

    def test_expire(self, owner: Member, at: Moment) -> None:
        link = send(owner, picture()).body["small"]
        assert status_of(link) == 200
        at.now += timedelta(days=2)
        assert status_of(link) == 404

    def test_are_the_same_all_day(self, owner: Member, at: Moment) -> None:
        links = send(owner, picture()).body
        assert accounts.photo_links_of(actor=owner.actor, now=at.forward(hours=14)) == links
        assert accounts.photo_links_of(actor=owner.actor, now=at.forward(hours=1)) != links

    def test_cannot_be_made_up(self, owner: Member) -> None:
        link = send(owner, picture()).body["small"]
        middle = len(link) // 2
        changed = link[:middle] + ("A" if link[middle] != "A" else "B") + link[middle + 1 :]
        for forged in (
            changed,
            "/files/x",
            "/files/..%2f..%2fetc%2fpasswd",
            link.rpartition(":")[0],
            unquote(link)[:-1],
        ):
            assert status_of(forged) == 404
        assert Client().post(link).status_code == 405
