"""What a mail looks like: templates of the module that sends it, the layout of core, styles written into elements."""

from collections.abc import Mapping
from email.utils import parseaddr
from functools import cache
from typing import Any

from css_inline import CSSInliner
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation

from backend.core.environment import environment


def compose(
    template: str,
    *,
    to: str,
    language: str,
    key: str,
    context: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> EmailMultiAlternatives:
    """A mail from `<template>.txt` (its first paragraph is the subject) and `<template>.html`, in this language.

    `key` is the job's: a repetition has the same Message-ID, so that mailboxes show it once. `headers` go on top.
    """
    with translation.override(language):
        values = {**(context or {}), "language": language, "is_rtl": translation.get_language_bidi()}
        subject, _, text = render_to_string(f"{template}.txt", values).strip().partition("\n\n")
        html = _inliner().inline(render_to_string(f"{template}.html", {**values, "subject": subject}))
    sender = environment().email_from
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message = EmailMultiAlternatives(
        subject=subject,
        body=text.strip() + "\n",
        from_email=sender,
        to=[to],
        headers={
            "Message-ID": f"<{key}@{domain}>",
            "Content-Language": language,
            "Auto-Submitted": "auto-generated",  # no out-of-office notes in return (RFC 3834)
            **(headers or {}),
        },
    )
    message.attach_alternative(html, "text/html")
    return message


def write_text(template: str, *, language: str, context: Mapping[str, Any] | None = None) -> str:
    """A short text, such as an SMS, from a template in this language: one line."""
    with translation.override(language):
        return " ".join(render_to_string(f"{template}.txt", dict(context or {})).split())


@cache
def _inliner() -> CSSInliner:
    # Rules for small screens stay in the head, where an element cannot hold them; nothing is ever fetched.
    return CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
