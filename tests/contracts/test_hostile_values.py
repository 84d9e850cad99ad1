"""Bad input is a clear problem document, and changes nothing.

Every field, parameter and header of every operation in the OpenAPI document is given what is in `hostile.py`, by
somebody who may call the operation. What the document does not allow must be refused; what is refused must be
refused as the document says, and leave every table as it was.

Seen red with these bugs planted: bodies that ignore unknown fields; NUL let through to PostgreSQL, and its
complaint not translated.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import pytest
from django.db import transaction
from django.test.client import MULTIPART_CONTENT
from jsonschema_rs import Validator

from backend.core.problems import CONTENT_TYPE
from tests.architecture.authorisation import TABLE
from tests.architecture.authorisation.rules import File
from tests.contracts import hostile
from tests.contracts.test_openapi import OPERATIONS, body_of, resolved, validator
from tests.support.api import Answer, Api, form_of
from tests.support.world import ACTORS, World, everything

ORDERED = {"listAssistance", "listBookings", "listProviders", "listServices", "listUsers"}
"""They know `ordering`, and refuse what it is not."""
HOLE = "the hostile value stands here"
WRITES = [name for name, (_, _, operation) in OPERATIONS.items() if body_of(operation)]
T = TypeVar("T")
LEAVE_A_MARK = {"login", "refreshTokens"}
"""What is refused leaves its mark on purpose: a try that failed is counted, a stolen token ends its session."""


def fields_of(schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The path of every field in a body, objects included."""
    for name, field in resolved(schema).get("properties", {}).items():
        yield (name,)
        for alternative in [field, *field.get("anyOf", ()), *field.get("allOf", ())]:
            yield from ((name, *deeper) for deeper in fields_of(alternative))


def with_hole(body: Any, path: tuple[str, ...]) -> str:
    """The body as JSON, with HOLE at this path."""
    if not path:
        return json.dumps(HOLE)
    fields = {name: json.dumps(value) for name, value in (body if isinstance(body, dict) else {}).items()}
    fields[path[0]] = with_hole((body or {}).get(path[0]), path[1:])
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items()) + "}"


def at(body: Any, path: tuple[str, ...]) -> Any:
    """What stands at this path of a body; None when nothing does."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def some_of(things: Iterable[T], place: int, *, parts: int) -> list[T]:
    """In the suite one part, so that each meets some of the places; `./callout fuzz` tries all at every place."""
    parts = 1 if "FUZZ_EXAMPLES" in os.environ else parts
    return list(things)[place % parts :: parts]


def values_for(place: int, fields: int) -> dict[str, str]:
    """What the field at this place is given."""
    shared = {**hostile.UNSTORABLE, **hostile.NOT_JSON, **hostile.VALUES}.items()
    return {"NUL": hostile.UNSTORABLE["NUL"], **dict(some_of(shared, place, parts=min(4, fields)))}


class Attacker:
    """Somebody who may call this operation, and does so in every way but the right one."""

    def __init__(self, world: World, name: str) -> None:
        self.name, self.rule = name, replace(TABLE[name], body=world.filled(TABLE[name].body))
        self.method, _, self.operation = OPERATIONS[name]
        closest = sorted(ACTORS, key=lambda actor: ("done", 409, 422, 401, 403, 404).index(self.rule.expected(actor)))
        self.world, self.api = world, world.api(closest[0])
        self.address = world.path(self.rule.path)
        self.before = everything()

    @cached_property
    def fits(self) -> Validator:
        """What the document allows in its body."""
        return validator(body_of(self.operation) or {})

    def send(self, body: bytes, *, address: str | None = None, api: Api | None = None, **options: str) -> Answer:
        """One request. What succeeds is taken back; what is refused must be a documented problem, and is not."""
        savepoint = transaction.savepoint()
        if isinstance(self.rule.body, File):
            options.setdefault("content_type", MULTIPART_CONTENT)
        answer = (api or self.api).raw(self.method.upper(), address or self.address, body, **options)
        if answer.status < 400:
            transaction.savepoint_rollback(savepoint)
            return answer
        transaction.savepoint_commit(savepoint)
        assert str(answer.status) in self.operation["responses"], answer.body
        assert answer.headers["Content-Type"] == CONTENT_TYPE
        assert answer.body["status"] == answer.status
        if answer.code == "validation_failed":
            assert answer.body["errors"], answer.body
        return answer

    def body(self) -> bytes:
        if isinstance(self.rule.body, File):
            return form_of(self.rule.body.content, part=self.rule.body.name, **dict(self.rule.body.fields))
        return b"" if self.rule.body is None else json.dumps(self.rule.body).encode()

    def changed_nothing(self) -> None:
        if self.name in LEAVE_A_MARK:
            return
        after = everything()
        if isinstance(self.rule.body, File):
            # A file is stored before the transaction that may refuse it; what nothing claims is purged within a day.
            after["media_stored_file"] = self.before["media_stored_file"]
        assert after == self.before


@pytest.fixture
def attack(world: World) -> Iterator[Callable[[str], Attacker]]:
    """An attacker of one operation; whatever was refused has changed nothing in the end."""
    attackers: list[Attacker] = []

    def make(name: str) -> Attacker:
        attackers.append(Attacker(world, name))
        return attackers[-1]

    yield make
    for attacker in attackers:
        attacker.changed_nothing()


Attack = Callable[[str], Attacker]


class TestBodies:
    @pytest.mark.parametrize("name", WRITES)
    def test_a_value_that_does_not_fit_is_refused(self, attack: Attack, name: str) -> None:
        attacker = attack(name)
        paths = list(fields_of(body_of(attacker.operation) or {}))
        for place, path in enumerate(paths):
            template = with_hole(attacker.rule.body, path)
            for title, value in values_for(place, len(paths)).items():
                text = template.replace(json.dumps(HOLE), value)
                answer = attacker.send(text.encode())
                if title in hostile.NOT_JSON:
                    assert answer.status == 400, (path, title)
                elif title in hostile.UNSTORABLE:
                    assert answer.status == 422, (path, title)
                elif not attacker.fits.is_valid(json.loads(text)):
                    assert answer.status in {400, 422}, (path, title)

    @pytest.mark.parametrize("name", WRITES)
    def test_what_is_no_object_is_refused(self, attack: Attack, name: str) -> None:
        attacker = attack(name)
        optional = not attacker.operation["requestBody"].get("required")
        for title, body in hostile.BODIES.items():
            if optional and title in {"nothing", "null"}:
                continue
            answer = attacker.send(body)
            assert answer.status in {400, 413, 422}, title

    @pytest.mark.parametrize("name", WRITES)
    def test_what_is_not_sent_as_json_is_refused(self, attack: Attack, name: str) -> None:
        attacker = attack(name)
        for media_type in hostile.MEDIA_TYPES:
            assert attacker.send(attacker.body(), content_type=media_type).status == 415, media_type

    @pytest.mark.parametrize("name", WRITES)
    def test_a_field_that_is_not_theirs_is_refused(self, attack: Attack, name: str) -> None:
        """Mass assignment, at every level of the body."""
        attacker = attack(name)
        schema = body_of(attacker.operation) or {}
        objects = [(), *(path for path in fields_of(schema) if isinstance(at(attacker.rule.body, path), dict))]
        for path in objects:
            own = {deeper[len(path)] for deeper in fields_of(schema) if deeper[: len(path)] == path != deeper}
            theirs = set(hostile.FORBIDDEN_FIELDS) - own
            written = {**(at(attacker.rule.body, path) or {}), **dict.fromkeys(theirs, HOLE)}
            body = with_hole(attacker.rule.body, path).replace(json.dumps(HOLE), json.dumps(written))
            answer = attacker.send(body.encode())
            assert answer.status == 422, path
            unknown = {field for field, code in answer.fields.items() if code == "unknown_field"}
            assert unknown >= {".".join(("body", *path, field)) for field in theirs}


class TestAddresses:
    @pytest.mark.parametrize("name", OPERATIONS)
    def test_an_unknown_query_is_refused(self, attack: Attack, name: str) -> None:
        attacker = attack(name)
        for query in some_of(hostile.QUERIES, list(OPERATIONS).index(name), parts=3):
            if query == "ordering=password" and name in ORDERED:
                continue
            answer = attacker.send(attacker.body(), address=f"{attacker.address}?{query}")
            assert (answer.status, answer.code) == (422, "unknown_filter"), query

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_a_parameter_that_does_not_fit_is_refused(self, attack: Attack, name: str) -> None:
        attacker = attack(name)
        for parameter in attacker.operation["parameters"]:
            if parameter["in"] != "query":
                continue
            for text in hostile.TEXTS.values():
                attacker.send(b"", address=f"{attacker.address}?{parameter['name']}={text}")
            is_free_text = parameter["name"] in {"search", "city"}
            for title in ("NUL", "long") if is_free_text else ("NUL", "2**63", "long"):
                answer = attacker.send(b"", address=f"{attacker.address}?{parameter['name']}={hostile.TEXTS[title]}")
                assert answer.status == 422, (parameter["name"], title)

    @pytest.mark.parametrize("name", [name for name, rule in TABLE.items() if "{" in rule.path])
    def test_an_id_that_is_none_is_refused(self, attack: Attack, name: str) -> None:
        attacker = attack(name)
        for title, text in hostile.TEXTS.items():
            if text:
                address = text.join(re.split(r"\{\w+\}", attacker.rule.path))
                assert attacker.send(attacker.body(), address=address).status in {404, 422}, title


class TestHeaders:
    @pytest.mark.parametrize("name", ["readMe", "updateMe", "sendMessage", "login", "listTariffs"])
    def test_are_read_with_suspicion(self, attack: Attack, name: str) -> None:
        attacker = attack(name)
        for header, values in hostile.HEADERS.items():
            for value in values:
                api = attacker.api.with_headers(**{header: value})
                attacker.send(attacker.body(), api=api)
