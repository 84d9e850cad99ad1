"""The REST API as a Postman collection (format v2.1), made from its OpenAPI document."""

import json
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

Json = dict[str, Any]

FORMAT = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
METHODS = ("get", "post", "put", "patch", "delete")


def collection(document: Json, *, base_url: str) -> Json:
    """A folder for each tag, a request with an example for each operation, `{{access}}` as everyone's bearer token."""
    folders = [
        {
            "name": tag["name"],
            "description": tag.get("description", ""),
            "item": [
                _request(path, method, operation, document)
                for path, methods in document["paths"].items()
                for method, operation in methods.items()
                if method in METHODS and tag["name"] in operation.get("tags", [])
            ],
        }
        for tag in document["tags"]
    ]
    return {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"].get("description", "").strip(),
            "schema": FORMAT,
        },
        "item": folders,
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{access}}", "type": "string"}]},
        "variable": [
            {"key": "base_url", "value": base_url, "type": "string"},
            {"key": "access", "value": "", "type": "string"},
        ],
    }


def _request(path: str, method: str, operation: Json, document: Json) -> Json:
    parameters = operation.get("parameters", [])
    request: Json = {
        "method": method.upper(),
        "description": operation.get("description", ""),
        "header": [_entry(parameter, document) for parameter in parameters if parameter["in"] == "header"],
        "url": _url(path, parameters, document),
    }
    if "security" not in operation:
        request["auth"] = {"type": "noauth"}
    elif method == "post":
        key = {
            "key": "Idempotency-Key",
            "value": "{{$guid}}",
            "description": "The same key again has no second effect.",
        }
        request["header"].append(key)
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = json.dumps(example_of(content["application/json"]["schema"], document), indent=2, ensure_ascii=False)
        request["body"] = {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}
        request["header"].append({"key": "Content-Type", "value": "application/json"})
    elif "multipart/form-data" in content:
        # Postman writes this body's header itself: it names the boundary.
        request["body"] = {"mode": "formdata", "formdata": _form(content["multipart/form-data"]["schema"], document)}
    return {"name": operation["summary"], "request": request, "response": []}


def _form(schema: Json, document: Json) -> list[Json]:
    """The fields of a form; whoever sends it chooses the file."""
    fields = _resolved(schema, document)["properties"]
    return [
        {"key": name, "type": "file", "src": None}
        if field.get("format") == "binary" or field.get("contentMediaType")
        else {"key": name, "type": "text", "value": str(example_of(field, document) or "")}
        for name, field in fields.items()
    ]


def _url(path: str, parameters: list[Json], document: Json) -> Json:
    """The address in parts; what may be left out of the query is switched off.

    `{id}` becomes Postman's `:id`. A variable is a whole part there: of `{token}.ics` it is `token.ics`.
    """
    parts = [f":{_variable(part)}" if "{" in part else part for part in path.removeprefix("/").split("/")]
    query = [_entry(parameter, document) for parameter in parameters if parameter["in"] == "query"]
    url: Json = {"raw": "/".join(["{{base_url}}", *parts]), "host": ["{{base_url}}"], "path": parts}
    if query:
        url["query"] = query
    entries = {parameter["name"]: _entry(parameter, document) for parameter in parameters if parameter["in"] == "path"}
    variables = [
        {**entries[name], "key": _variable(part), "value": part.replace(f"{{{name}}}", entries[name]["value"])}
        for part in path.split("/")
        for name in re.findall(r"{(\w+)}", part)
    ]
    return {**url, "variable": variables} if variables else url


def _variable(part: str) -> str:
    return part.replace("{", "").replace("}", "")


def _entry(parameter: Json, document: Json) -> Json:
    """A parameter as Postman's key and value."""
    value = example_of(parameter["schema"], document)
    entry = {
        "key": parameter["name"],
        "value": "" if value is None else value if isinstance(value, str) else json.dumps(value),
        "description": parameter.get("description", ""),
    }
    return entry if parameter.get("required") else {**entry, "disabled": True}


def example_of(schema: Json, document: Json) -> Any:
    """A value of this schema: its first example, else its default, else one built from its parts."""
    schema = _resolved(schema, document)
    if schema.get("examples"):
        return schema["examples"][0]
    for name in ("default", "const"):
        if schema.get(name) is not None:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    choices = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]
    for choice in choices:
        if choice.get("type") != "null":
            return example_of(choice, document)
    if "properties" in schema:
        return {
            name: example_of(part, document)
            for name, part in schema["properties"].items()
            if name in schema.get("required", []) or _has_example(part, document)
        }
    if schema.get("type") == "array":
        return [example_of(schema["items"], document)] if "items" in schema else []
    plain: Mapping[str, Any] = {"string": "", "integer": schema.get("minimum", 1), "number": 1.5, "boolean": True}
    return plain.get(str(schema.get("type")))


def _has_example(schema: Json, document: Json) -> bool:
    """Whether somebody thought of a value for it: null is none."""
    schema = _resolved(schema, document)
    if schema.get("examples"):
        return schema["examples"][0] is not None
    return any(_has_example(part, document) for part in chain(schema.get("anyOf", []), schema.get("allOf", [])))


def _resolved(schema: Json, document: Json) -> Json:
    """The schema behind a reference, with what stands beside the reference."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].removeprefix("#/components/schemas/")
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_resolved(document["components"]["schemas"][name], document), **beside}
