"""A small typed client of the API, in the test's own process and transaction."""

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, ClientHandler, encode_multipart

from tests.support.people import Member

_handler = ClientHandler(enforce_csrf_checks=False)


def _new_client() -> Client:
    """All clients share one chain of middlewares: to make it takes longer than a request."""
    client = Client(raise_request_exception=False)
    client.handler = _handler
    return client


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        """The code of a problem."""
        code: str = self.body["code"]
        return code

    @property
    def fields(self) -> dict[str, str]:
        """Of a 422: field → code."""
        return {error["field"]: error["code"] for error in self.body["errors"]}


@dataclass(frozen=True)
class Api:
    """Paths are below `/api/v1`; bodies are Python values."""

    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=_new_client)

    def as_(self, member: Member) -> "Api":
        return self.with_token(member.access)

    def with_token(self, token: str) -> "Api":
        return self.with_headers(Authorization=f"Bearer {token}")

    def with_headers(self, **headers: str) -> "Api":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    def get(self, path: str, **query: Any) -> Answer:
        return self._answer(self.client.get(self._path(path), query, headers=self.headers))

    def post(self, path: str, body: Any = None) -> Answer:
        return self._send("POST", path, body)

    def put(self, path: str, body: Any = None) -> Answer:
        return self._send("PUT", path, body)

    def patch(self, path: str, body: Any = None) -> Answer:
        return self._send("PATCH", path, body)

    def delete(self, path: str, body: Any = None) -> Answer:
        return self._send("DELETE", path, body)

    def raw(self, method: str, path: str, body: bytes, content_type: str = "application/json") -> Answer:
        return self._answer(
            self.client.generic(method, self._path(path), body, content_type=content_type, headers=self.headers)
        )

    def upload(
        self, method: str, path: str, content: bytes, name: str = "file.bin", *, part: str = "file", **fields: str
    ) -> Answer:
        """A form with the fields and one file, `part`."""
        return self.raw(method, path, form_of(content, name, part=part, **fields), MULTIPART_CONTENT)

    def _send(self, method: str, path: str, body: Any) -> Answer:
        return self.raw(method, path, b"" if body is None else msgspec.json.encode(body))

    @staticmethod
    def _path(path: str) -> str:
        return path if path.startswith(("/api/", "/internal/")) else f"/api/v1{path}"

    @staticmethod
    def _answer(response: HttpResponseBase) -> Answer:
        content: bytes = response.content  # type: ignore[attr-defined]
        is_json = "json" in response.get("Content-Type", "")
        body = msgspec.json.decode(content) if content and is_json else content
        return Answer(response.status_code, body, dict(response.items()))


def form_of(content: bytes, name: str = "file.bin", *, part: str = "file", **fields: str) -> bytes:
    """The bytes of a form with the fields and one file, `part`."""
    form = {**fields, part: SimpleUploadedFile(name, content, content_type="application/octet-stream")}
    encoded: bytes = encode_multipart(BOUNDARY, form)
    return encoded
