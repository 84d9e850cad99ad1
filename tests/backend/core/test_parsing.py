import pytest

from backend.core.errors import Malformed
from backend.core.parsing import MAX_DEPTH, MAX_KEYS, parse
from tests.support.api import Api


class TestParse:
    def test_reads_plain_json(self) -> None:
        assert parse('{"a": [1, 2.5, "é", null, true]}'.encode()) == {"a": [1, 2.5, "é", None, True]}

    @pytest.mark.parametrize(
        "body",
        [
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": -Infinity}',
            b'{"a": 1, "a": 2}',
            b'{"a": {"b": 1, "b": 2}}',
            '{"a": "é"}'.encode("utf-16"),
            b'{"a": "\xff"}',
            b"{'a': 1}",
            b"",
            b"[1,",
            b"1" * 5000,
            b"[" * 100_000,
            b"{" + b",".join(b'"k%d": 1' % number for number in range(MAX_KEYS + 1)) + b"}",
            b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
            b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        ],
    )
    def test_refuses_what_is_ambiguous_or_unbounded(self, body: bytes) -> None:
        with pytest.raises(Malformed):
            parse(body)

    def test_reads_the_deepest_body_that_is_allowed(self) -> None:
        assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.django_db
class TestStrictParser:
    def test_reads_only_json_as_json(self, api: Api) -> None:
        answer = api.raw("POST", "/auth/login/", b'{"identifier": "a", "password": "b"}', content_type="text/plain")
        assert (answer.status, answer.code) == (415, "unsupported_media_type")

    def test_refuses_a_large_body(self, api: Api) -> None:
        answer = api.raw("POST", "/auth/login/", b'{"identifier": "%s"}' % (b"a" * 300_000))
        assert (answer.status, answer.code) == (413, "too_large")

    def test_refuses_a_malformed_body(self, api: Api) -> None:
        answer = api.raw("POST", "/auth/login/", b'{"identifier": NaN}')
        assert (answer.status, answer.code) == (400, "malformed")
        assert answer.body["detail"] == "NaN is not JSON."
