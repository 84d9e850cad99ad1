"""Versions as entity tags (RFC 9110): `GET` of one thing says its version, a change may insist on it."""

import re
from typing import Annotated

from django.http import HttpResponse
from ninja import Header

_TAG = re.compile(r'(W/)?"([^"]*)"')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        description="The `ETag` that you read; the change is refused with 412 when it is no longer the present one.",
        examples=['"3"'],
    ),
]
"""An operation's parameter: `if_match: IfMatch = None`."""


def tag(response: HttpResponse, version: int) -> None:
    """Let the answer carry the thing's version as its `ETag`."""
    response["ETag"] = f'"{version}"'


def wanted_versions(if_match: str | None) -> frozenset[int] | None:
    """The versions that an `If-Match` accepts; None accepts any (no header, or `*`).

    A tag that is weak or not ours matches no version (strong comparison, RFC 9110 section 8.8.3.2), so the set may
    be empty.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    return frozenset(
        int(text)
        for weak, text in _TAG.findall(if_match)
        if not weak and text.isascii() and text.isdigit() and len(text) < 10
    )
