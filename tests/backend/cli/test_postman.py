"""The Postman collection, against what its format v2.1 requires."""

import json
import re
from typing import Any

import pytest
from ninja.responses import NinjaJSONEncoder

from backend.cli.postman import FORMAT, collection, example_of
from backend.config.api import api
from tests.support.api import Api
from tests.support.people import Member, make_member

Json = dict[str, Any]
DOCUMENT: Json = json.loads(json.dumps(api.get_openapi_schema(), cls=NinjaJSONEncoder))
COLLECTION = collection(DOCUMENT, base_url="http://localhost:8000")
ITEMS: list[Json] = [item for folder in COLLECTION["item"] for item in folder["item"]]
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]

NOT_THERE = ("there is no such ", "somebody here is not, or no longer, among us")
"""How an id in a body is refused that nothing has."""


def body_of(operation: Json) -> Json:
    content: Json = operation.get("requestBody", {}).get("content", {})
    return content


class TestCollection:
    def test_has_what_the_format_requires(self) -> None:
        assert {"info", "item"} <= COLLECTION.keys()
        assert (COLLECTION["info"]["name"], COLLECTION["info"]["schema"]) == ("Callout", FORMAT)
        assert all({"key", "value"} <= variable.keys() for variable in COLLECTION["variable"])
        assert [folder["name"] for folder in COLLECTION["item"]] == [tag["name"] for tag in DOCUMENT["tags"]]
        for item in ITEMS:
            request, url = item["request"], item["request"]["url"]
            assert item["name"]
            assert item["response"] == []
            assert all({"key", "value"} <= header.keys() for header in request["header"])
            assert url["raw"] == "/".join([*url["host"], *url["path"]])
            named = [part.removeprefix(":") for part in url["path"] if part.startswith(":")]
            assert [variable["key"] for variable in url.get("variable", [])] == named
            assert all(isinstance(entry["value"], str) for entry in [*request["header"], *url.get("query", [])])

    def test_holds_every_operation_once(self) -> None:
        asked = [(item["request"]["method"], "/" + "/".join(item["request"]["url"]["path"])) for item in ITEMS]
        served = [(method, path.replace("{", ":").replace("}", "")) for method, path, _ in OPERATIONS]
        assert sorted(asked) == sorted(served)

    def test_signs_in_with_one_variable_where_it_must(self) -> None:
        assert COLLECTION["auth"]["type"] == "bearer"
        assert COLLECTION["auth"]["bearer"][0]["value"] == "{{access}}"
        without = {item["name"] for item in ITEMS if item["request"].get("auth", {}).get("type") == "noauth"}
        assert without == {operation["summary"] for _, _, operation in OPERATIONS if "security" not in operation}

    def test_says_each_body_with_its_type(self) -> None:
        for item in ITEMS:
            if item["request"].get("body", {}).get("mode") == "formdata":
                kinds = {field["key"]: field["type"] for field in item["request"]["body"]["formdata"]}
                assert sorted(kinds.values()) == ["file", *["text"] * (len(kinds) - 1)]
            elif "body" in item["request"]:
                assert item["request"]["body"]["mode"] == "raw"
                assert isinstance(json.loads(item["request"]["body"]["raw"]), dict)
                assert {"key": "Content-Type", "value": "application/json"} in item["request"]["header"]


@pytest.mark.django_db
class TestExampleBodies:
    @pytest.fixture
    def someone(self) -> dict[str, Member]:
        return {role: make_member(role) for role in ("client", "assistant", "manager")}

    @pytest.mark.parametrize(
        ("method", "path"),
        [(method, path) for method, path, operation in OPERATIONS if "application/json" in body_of(operation)],
    )
    def test_none_is_refused_for_its_shape(self, someone: dict[str, Member], method: str, path: str) -> None:
        """What a newcomer sends first must work, but for things that are not there.

        Seen red: a booking whose example ends as it starts, opening hours for a weekday and a date at once.
        """
        operation = DOCUMENT["paths"][path][method.lower()]
        body = example_of(operation["requestBody"]["content"]["application/json"]["schema"], DOCUMENT)
        answers = [Api().as_(member)._send(method, re.sub(r"\{\w+\}", "1", path), body) for member in someone.values()]
        refused = [answer.body for answer in answers if answer.status == 422 and answer.code == "validation_failed"]
        assert not [body for body in refused if not body["detail"].startswith(NOT_THERE)]
