"""Forms that are not as they should be: each is a clear problem, and nothing is stored."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from backend.media.models import Document, StoredFile
from tests.backend.media.corpus import PDF, picture
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member, make_member
from tests.support.world import everything

Part = tuple[bytes, bytes]
"""What stands in Content-Disposition behind `form-data; `, and the content."""
BOUNDARY = "0123456789"
OTHER: Part = (b'name="type"', b"other")


def file_part(content: bytes = PDF, name: bytes = b"x.pdf", field: bytes = b"file") -> Part:
    return b'name="' + field + b'"; filename="' + name + b'"', content


def send(owner: Member, method: str, path: str, parts: Sequence[Part]) -> Answer:
    form = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), where, content)
        for where, content in parts
    )
    body = form + f"--{BOUNDARY}--\r\n".encode()
    return Api().as_(owner).raw(method, path, body, f"multipart/form-data; boundary={BOUNDARY}")


@pytest.fixture
def owner(db: None, at: Moment) -> Member:
    return make_member(now=at.now)


BROKEN: dict[str, tuple[Sequence[Part], int]] = {
    "nothing at all": ([], 422),
    "no file": ([OTHER], 422),
    "a file under another name": ([OTHER, file_part(field=b"files")], 422),
    "a file under a name in capitals": ([OTHER, file_part(field=b"File")], 422),
    "a file under a name for lists": ([OTHER, file_part(field=b"file[]")], 422),
    "a file under a name from right to left": ([OTHER, file_part(field="\u202e\u0645".encode())], 422),
    "a file under a name with NUL": ([OTHER, file_part(field=b"file\0")], 422),
    "a file under an endless name": ([OTHER, file_part(field=b"a" * 60_000)], 400),
    "two files": ([OTHER, file_part(), file_part()], 422),
    "two files under two names": ([OTHER, file_part(), file_part(field=b"other")], 422),
    "a text in the file's place": ([OTHER, (b'name="file"', PDF)], 422),
    "a text beside the file": ([OTHER, (b'name="file"', b"x"), file_part()], 422),
    "a file without a name": ([OTHER, file_part(name=b"")], 422),
    "a file called ..": ([OTHER, file_part(name=b"..")], 422),
    "a file with an endless name": ([OTHER, file_part(name=b"a" * 60_000)], 400),
    "an empty file": ([OTHER, file_part(b"")], 422),
    "a file that is no base64": (
        [OTHER, (b'name="file"; filename="x.pdf"\r\nContent-Transfer-Encoding: base64', b"!!!!")],
        422,
    ),
    "a field twice": ([OTHER, (b'name="type"', b"identity"), file_part()], 422),
    "a field that nobody knows": ([OTHER, (b'name="status"', b"approved"), file_part()], 422),
    "a field whose name has NUL": ([OTHER, (b'name="ty\0pe"', b"x"), file_part()], 422),
    "a field with NUL": ([(b'name="type"', b"oth\0er"), file_part()], 422),
    "a field that is not UTF-8": ([(b'name="type"', b"\xff\xfe"), file_part()], 422),
    "a day that is none": ([OTHER, (b'name="expires_on"', b"2030-02-30"), file_part()], 422),
    "a day as a number": ([OTHER, (b'name="expires_on"', b"2000000000"), file_part()], 422),
    "a day at midnight": ([OTHER, (b'name="expires_on"', b"2031-06-30T00:00:00Z"), file_part()], 422),
    "a thousand fields": ([(b'name="f%d"' % number, b"x") for number in range(1100)] + [file_part()], 400),
}


class TestForms:
    @pytest.mark.parametrize("what", BROKEN)
    def test_that_are_broken_store_nothing(self, owner: Member, files_folder: Path, what: str) -> None:
        """Planted: a file kept before the fields beside it were looked at."""
        made = send(owner, "POST", "/documents/", [OTHER, file_part()])
        assert made.status == 201
        parts, status = BROKEN[what]
        before, stored = everything(), sorted(files_folder.rglob("*"))
        others = [part for part in parts if part != OTHER]
        pictures = [(where, picture() if content == PDF else content) for where, content in others]
        for method, path, sent in (
            ("POST", "/documents/", parts),
            ("PUT", f"/documents/{made.body['id']}/", others),
            ("PUT", "/me/photo/", pictures),
        ):
            answer = send(owner, method, path, sent)
            assert answer.status == status, (path, answer.body)
            if status == 422 and answer.code == "validation_failed":
                assert answer.fields
        assert (everything(), sorted(files_folder.rglob("*"))) == (before, stored)

    @pytest.mark.parametrize("name", ["\u202efdp.exe".encode(), b"x\0.php", b"../../../etc/passwd", b"con"])
    def test_may_call_the_file_what_they_like(self, owner: Member, name: bytes) -> None:
        """It is ours to name it: nothing of the given name is kept or sent back."""
        answer = send(owner, "POST", "/documents/", [OTHER, file_part(name=name)])
        assert answer.status == 201
        kept = StoredFile.objects.get()
        assert (kept.key[:10], len(kept.key), kept.key[-4:]) == ("documents/", 46, ".pdf")
        assert Document.objects.get().file_id == kept.key

    @pytest.mark.parametrize("document", ["0", "-1", str(2**63), "1.5", "x", "%00", "%F0%9F%9A%9A", "1%2F2", "9" * 400])
    def test_for_a_document_that_cannot_be_store_nothing(
        self, owner: Member, files_folder: Path, document: str
    ) -> None:
        manager = make_member("manager")
        before, stored = everything(), sorted(files_folder.rglob("*"))
        for method, parts in (("PUT", [file_part()]), ("GET", []), ("DELETE", [])):
            assert send(owner, method, f"/documents/{document}/", parts).status in {404, 422}
        review = Api().as_(manager).post(f"/documents/{document}/review/", {"decision": "approve"})
        assert review.status in {404, 422}
        assert (everything(), sorted(files_folder.rglob("*"))) == (before, stored)
