"""The two published contracts: REST as OpenAPI, sockets as AsyncAPI.

Both stand beside this file as they were last agreed to, so that a change of contract is seen in review:
`./callout openapi > tests/contracts/openapi.json`, and `asyncapi` likewise.
"""

import json
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema_rs
import pytest
from django.test import Client
from ninja.responses import NinjaJSONEncoder
from pydantic import BaseModel
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

import backend.config.urls  # noqa: F401  (the document names the paths under which the API is mounted)
from backend.config.api import TAGS, api
from backend.core.problems import CONTENT_TYPE
from realtime.docs import build_asyncapi
from shared_contracts.commands import COMMANDS
from shared_contracts.events import NUMBERED
from tests.support.stack import Platform

HERE = Path(__file__).parent
PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def plain(document: Any) -> Any:
    """As it is sent."""
    return json.loads(json.dumps(document, cls=NinjaJSONEncoder))


DOCUMENT = plain(api.get_openapi_schema())
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]}, validate_formats=True)


def body_of(operation: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of its JSON body; None when it takes none, or a form."""
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, where this is only its name."""
    named: dict[str, Any] = DOCUMENT["components"]["schemas"]
    return named[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def example_of(schema: dict[str, Any], *, optional: bool) -> Any:
    """What the document itself gives as an example, put together field by field."""
    schema = resolved(schema)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "allOf"):
        if key in schema:
            return example_of(schema[key][0], optional=optional)
    if schema.get("type") == "object":
        wanted = schema["properties"] if optional else schema.get("required", ())
        return {name: example_of(schema["properties"][name], optional=optional) for name in wanted}
    if schema.get("type") == "array":
        return [example_of(schema["items"], optional=optional)]
    return {"boolean": True, "integer": schema.get("minimum", 1), "number": schema.get("minimum", 0)}[schema["type"]]


def nodes(node: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a part of the document, and where it stands."""
    if isinstance(node, dict):
        yield at, node
        for name, value in node.items():
            yield from nodes(value, f"{at}.{name}")
    elif isinstance(node, list):
        for item in node:
            yield from nodes(item, at)


def is_bounded(node: dict[str, Any]) -> bool:
    match node.get("type"):
        case "string":
            return bool(node.keys() & {"maxLength", "pattern", "enum", "const", "format"})
        case "array":
            return "maxItems" in node
        case "integer" | "number":
            upper, lower = {"maximum", "exclusiveMaximum"}, {"minimum", "exclusiveMinimum"}
            return bool(node.keys() & upper and node.keys() & lower)
    return True


def named_in_document() -> Iterator[type]:
    """Every schema and enumeration of the modules, which the document knows by its bare name."""
    found: list[type[Any]] = [BaseModel, Enum]
    for one in found:
        found.extend(set(type.__subclasses__(one)) - set(found))
    for one in found:
        if re.fullmatch(r"backend\.\w+\.(schemas|states)\b.*", one.__module__):
            yield one


class TestNames:
    def test_two_schemas_never_share_one(self) -> None:
        """Seen red with three that did: the document showed the wrong one in the place of the other, unnoticed."""
        components = DOCUMENT["components"]["schemas"]
        by_name: dict[str, set[str]] = {}
        for one in named_in_document():
            if one.__name__ in components:
                by_name.setdefault(one.__name__, set()).add(one.__module__)
        assert {name: modules for name, modules in by_name.items() if len(modules) > 1} == {}


class TestOpenAPI:
    def test_is_what_was_agreed(self) -> None:
        agreed = json.loads((HERE / "openapi.json").read_text())
        assert agreed == DOCUMENT, "./callout openapi > tests/contracts/openapi.json"

    def test_is_valid_openapi_3_1(self) -> None:
        assert DOCUMENT["openapi"].startswith("3.1.")
        assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)] == []

    def test_every_schema_is_a_json_schema(self) -> None:
        for schema in DOCUMENT["components"]["schemas"].values():
            validator(schema)

    def test_names_are_unique_and_tags_described(self) -> None:
        assert len(OPERATIONS) == sum(len(methods) for methods in DOCUMENT["paths"].values())
        assert all(tag["description"] for tag in DOCUMENT["tags"])
        assert DOCUMENT["tags"] == TAGS

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_every_operation_explains_itself(self, name: str) -> None:
        _, path, operation = OPERATIONS[name]
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)
        assert len(operation["summary"]) > 5
        assert not operation["summary"].endswith(".")
        assert operation["description"]
        assert set(operation["tags"]) <= {tag["name"] for tag in TAGS}
        assert len(operation["tags"]) == 1
        assert path.startswith("/api/v1/")
        assert path.endswith(("/", ".ics"))

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_every_operation_names_its_problems(self, name: str) -> None:
        method, path, operation = OPERATIONS[name]
        answers = operation["responses"]
        expected = {"400", "422", "429", "503"}
        expected |= {"401", "403"} if "security" in operation else set()
        expected |= {"404"} if "{" in path else set()
        expected |= {"413", "415"} if body_of(operation) else set()
        assert expected <= answers.keys()
        assert "500" not in answers
        for status, answer in answers.items():
            if int(status) >= 400:
                assert answer["content"] == {CONTENT_TYPE: {"schema": PROBLEM_SCHEMA}}
                assert re.match(r"`[a-z_]+`: ", answer["description"])
            elif status != "204":
                assert answer["content"].keys() <= {"application/json", "text/html", "text/calendar"}
                assert all(content["schema"] for content in answer["content"].values())
        [success] = [int(status) for status in answers if int(status) < 400]
        assert success in {"get": {200}, "delete": {200, 204}}.get(method, {200, 201, 202, 204})

    @pytest.mark.parametrize("name", [name for name, (_, _, operation) in OPERATIONS.items() if body_of(operation)])
    def test_every_body_has_an_example_that_is_valid(self, name: str) -> None:
        schema = body_of(OPERATIONS[name][2])
        assert schema is not None
        for optional in (False, True):
            validator(schema).validate(example_of(schema, optional=optional))

    def test_no_body_takes_a_field_that_is_not_named(self) -> None:
        taken = {name: schema for name, schema in DOCUMENT["components"]["schemas"].items() if name.endswith("In")}
        for name, schema in taken.items():
            assert schema["additionalProperties"] is False, name
        for _, _, operation in OPERATIONS.values():
            assert all(node["$ref"].endswith("In") for _, node in nodes(body_of(operation), "body") if "$ref" in node)

    def test_bounds_everything_that_is_sent(self) -> None:
        """Texts and lists have a longest, or a pattern or a format that gives one; numbers have both ends."""
        taken = {name: schema for name, schema in DOCUMENT["components"]["schemas"].items() if name.endswith("In")}
        parameters = {name: operation["parameters"] for name, (_, _, operation) in OPERATIONS.items()}
        found = [*nodes(taken, "schemas"), *nodes(parameters, "parameters")]
        assert [at for at, node in found if not is_bounded(node)] == []


class TestPages:
    @pytest.mark.parametrize("address", ["/api/docs", "/api/redoc"])
    def test_come_from_our_own_host_alone(self, address: str) -> None:
        page = Client().get(address)
        assert page.status_code == 200
        html = page.content.decode()
        loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", html)
        assert loaded
        assert all(link.startswith("/static/ninja/") for link in loaded)
        assert "://" not in re.sub(r"http://testserver", "", html)
        assert "default-src 'none'" in page["Content-Security-Policy"]
        assert "://" not in page["Content-Security-Policy"]

    @pytest.mark.parametrize("address", ["/api/docs", "/api/redoc"])
    def test_get_their_scripts(self, stack: Platform, address: str) -> None:
        with urlopen(stack.url("backend") + address) as page:
            html = page.read().decode()
        for link in re.findall(r"""(?:src|href)=["'](/static/[^"']+)""", html):
            with urlopen(stack.url("backend") + link) as file:
                assert len(file.read()) > 100

    def test_the_document_is_served(self) -> None:
        served = Client().get("/api/v1/openapi.json")
        assert served.status_code == 200
        assert served.json()["paths"].keys() == DOCUMENT["paths"].keys()


class TestAsyncAPI:
    def test_is_what_was_agreed(self) -> None:
        agreed = json.loads((HERE / "asyncapi.json").read_text())
        assert agreed == plain(build_asyncapi()), "./callout asyncapi > tests/contracts/asyncapi.json"

    def test_tells_of_every_event_and_command(self) -> None:
        text = json.dumps(build_asyncapi())
        for thing in (*(event.type for event in NUMBERED), *(command.name for command in COMMANDS)):
            assert f'"{thing}"' in text
