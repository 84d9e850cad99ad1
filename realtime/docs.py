"""The AsyncAPI 3.0 document of the socket, generated from `shared_contracts`, and a page that shows it to people."""

import re
from html import escape
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from realtime.limits import FRAME_BYTES, FRAMES_BURST, FRAMES_PER_SECOND, ROOMS_PER_SOCKET, SOCKETS_PER_PERSON
from shared_contracts import commands
from shared_contracts.commands import COMMANDS, Answer, Closing, Command, ConnectAuth, JoinAnswer, Ready
from shared_contracts.errors import ErrorCode
from shared_contracts.events import NUMBERED, Envelope, Event, Location, Presence, ResyncRequired, Typing

Schema = dict[str, Any]

VERSION = "1.0.0"
REFERENCE = "#/components/schemas/"
ANSWERS: dict[type[Command], type[Answer]] = {
    commands.Join: JoinAnswer,
    commands.MessageSend: commands.MessageAnswer,
    commands.AssistanceAccept: commands.AssistanceAnswer,
    commands.AssistanceDecline: commands.AssistanceAnswer,
}
Momentary = type[Location] | type[Typing] | type[Presence] | type[ResyncRequired]
ROOM_EVENTS: tuple[type[Event] | Momentary, ...] = (*NUMBERED, Location, Typing, Presence, ResyncRequired)
INTRODUCTION = f"""\
Socket.IO v4 at path `/socket.io/`, namespace `/`. Connect with `auth: {{token, cursors?}}`: an access token, and \
the last cursor of each room seen before. A refusal carries `data.code`, and `data.reconnect_in_ms` when trying \
again helps. Every command is an event with one object; its acknowledgement is `{{ok: true, …}}` or `{{ok: false, \
code, detail?, errors?}}`. Events of a room come as an envelope, named by its `type`. `number` is dense per room: \
drop what you have seen, and join again with your last cursor (`epoch.number`) when one is missing. An envelope \
without a number is of the moment only. `resync_required` means: read the REST snapshot and go on from the cursor \
given. `closing` says that the server hangs up, and when to come back. Limits: {FRAMES_PER_SECOND} packets a second \
({FRAMES_BURST} at once), {FRAME_BYTES // 1024} KB each, no binary, {SOCKETS_PER_PERSON} sockets a person, \
{ROOMS_PER_SOCKET} rooms a socket."""


def build_asyncapi() -> Schema:
    """The AsyncAPI 3.0.0 document as plain JSON values."""
    models: list[type[BaseModel]] = [
        ConnectAuth,
        Ready,
        Closing,
        Envelope,
        Answer,
        *COMMANDS,
        *ANSWERS.values(),
        *ROOM_EVENTS,
    ]
    _, definitions = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template=REFERENCE + "{model}"
    )
    # Some commands and events share a name: the keys say which is meant.
    messages: dict[str, Schema] = {}
    operations: dict[str, Schema] = {}
    for command in COMMANDS:
        key, answer = f"command.{command.name}", ANSWERS.get(command, Answer)
        messages[key] = _message(command.name, command, _reference(command))
        messages[f"{key}.ack"] = _message(f"{command.name}.ack", answer, _reference(answer))
        operations[key] = _operation("receive", key, command) | {
            "reply": {"channel": {"$ref": "#/channels/socket"}, "messages": [_on_channel(f"{key}.ack")]}
        }
    for event in ROOM_EVENTS:
        key = f"event.{event.type}"
        messages[key] = _message(event.type, event, _enveloped(event))
        operations[key] = _operation("send", key, event)
    for notice in (Ready, Closing):
        key = f"event.{notice.name}"
        messages[key] = _message(notice.name, notice, _reference(notice))
        operations[key] = _operation("send", key, notice)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Callout, real time",
            "version": VERSION,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/socket.io/",
                "summary": "The one socket of a client.",
                "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
                "bindings": {"ws": {"query": {"type": "object", "properties": {"EIO": {"const": "4"}}}}},
                "x-auth": _reference(ConnectAuth),
            }
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": definitions["$defs"]},
        "x-codes": [str(code) for code in ErrorCode],
    }


def render_page(document: Schema) -> str:
    """The document as one HTML page that needs nothing from anywhere else."""
    messages = document["components"]["messages"]
    schemas = document["components"]["schemas"]
    received = [key for key, operation in document["operations"].items() if operation["action"] == "receive"]
    sent = [key for key, operation in document["operations"].items() if operation["action"] == "send"]
    parts = [
        f"<h2>Connect</h2>{_table(_resolve(document['channels']['socket']['x-auth'], schemas))}",
        "<h2>Commands</h2>",
    ]
    for key in received:
        answer = _resolve(messages[f"{key}.ack"]["payload"], schemas)
        parts.append(_section(messages[key], schemas) + f"<h4>Acknowledgement</h4>{_table(answer)}")
    parts.append("<h2>Events</h2>")
    parts.append(f"<h3>The envelope of a room's event</h3>{_table(schemas[Envelope.__name__])}")
    parts += [_section(messages[key], schemas) for key in sent]
    codes = ", ".join(f"<code>{escape(code)}</code>" for code in document["x-codes"])
    body = "".join(parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(document["info"]["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>'
        f"<h1>{escape(document['info']['title'])}</h1><p>{_prose(document['info']['description'])}</p>"
        f'<p>The document itself: <a href="/asyncapi.json">AsyncAPI {document["asyncapi"]}</a>.</p>'
        f"{body}<h2>Codes</h2><p>{codes}</p></main></body></html>"
    )


STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;margin:0}
main{max-width:60rem;margin:auto;padding:2rem}
h1,h2{line-height:1.2}h2{border-bottom:2px solid #d8dee6;margin-top:3rem}h3{margin:2rem 0 .3rem;font-family:monospace}
table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #e5e9ef;padding:.3rem .5rem;text-align:left;vertical-align:top}
code,td:first-child,td:nth-child(2){font-family:monospace;font-size:.9em}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#dfe5ec}td,th,h2{border-color:#2b3440}a{color:#7db4ff}}
"""


def _message(name: str, model: type[BaseModel], payload: Schema) -> Schema:
    return {"name": name, "summary": _summary(model), "payload": payload}


def _operation(action: str, key: str, model: type[BaseModel]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/socket"},
        "summary": _summary(model),
        "messages": [_on_channel(key)],
    }


def _on_channel(key: str) -> Schema:
    return {"$ref": f"#/channels/socket/messages/{key}"}


def _reference(model: type[BaseModel]) -> Schema:
    return {"$ref": REFERENCE + model.__name__}


def _enveloped(event: type[Event] | Momentary) -> Schema:
    fields = {"type": {"const": event.type}, "data": _reference(event)}
    return {"allOf": [_reference(Envelope), {"type": "object", "properties": fields}]}


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or model.__name__).split())


def _resolve(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    """The schema of an event's own fields, or of whatever is referred to."""
    if "allOf" in schema:
        schema = schema["allOf"][1]["properties"]["data"]
    return schemas[schema["$ref"].removeprefix(REFERENCE)] if "$ref" in schema else schema


def _prose(text: str) -> str:
    """A sentence as HTML: what stands between back-ticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _section(message: Schema, schemas: dict[str, Schema]) -> str:
    fields = _table(_resolve(message["payload"], schemas))
    return f"<h3>{escape(message['name'])}</h3><p>{_prose(message['summary'])}</p>{fields}"


def _table(schema: Schema) -> str:
    """The fields of an object schema, one a row."""
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td>{escape(name)}{'' if name in required else '?'}</td><td>{escape(_kind(field))}</td>"
        f"<td>{_prose(str(field.get('description', '')))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<table><tr><th>Field</th><th>Type</th><th></th></tr>{rows}</table>" if rows else "<p>No fields.</p>"


def _kind(field: Schema) -> str:
    """A field's type in a few words."""
    if "$ref" in field:
        return str(field["$ref"]).removeprefix(REFERENCE)
    if "anyOf" in field:
        return " | ".join(_kind(choice) for choice in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        return f"{_kind(field.get('items', {}))}[]"
    bounds = [f"{word} {field[key]}" for key, word in BOUNDS.items() if key in field]
    return " ".join([str(field.get("format") or field.get("type") or "any"), *bounds])


BOUNDS = {"minimum": "≥", "maximum": "≤", "minLength": "from", "maxLength": "up to"}
