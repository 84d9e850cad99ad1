"""A mail on the wire: by SMTP, or without a server into a folder that a developer can open."""

import smtplib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import BadHeaderError

from backend.core.environment import environment
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from backend.core.keeping import keep_private

log = structlog.get_logger("callout.mail")


def deliver(message: EmailMessage) -> None:
    """Send one mail; for the call of an outside job.

    Raises NotDoneError, NeverDoneError or NobodyThereError (the recipient was refused) where that is certain; a
    connection lost in the midst leaves it unknown.
    """
    connection = get_connection()
    try:
        connection.open()
    except (OSError, smtplib.SMTPException) as error:
        raise NotDoneError(f"the mail server does not let us in: {type(error).__name__}") from error
    try:
        connection.send_messages([message])
    except (BadHeaderError, UnicodeError, ValueError) as error:
        raise NeverDoneError("the mail cannot be written") from error
    except smtplib.SMTPRecipientsRefused as error:
        ((code, _),) = error.recipients.values()
        refusal = _refused(code)
        raise (NobodyThereError(str(refusal)) if isinstance(refusal, NeverDoneError) else refusal) from error
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code) from error
    finally:
        with suppress(OSError, smtplib.SMTPException):
            connection.close()


def _refused(code: int) -> NotDoneError | NeverDoneError:
    """A reply of 5xx is for good, any other for now (RFC 5321, section 4.2.1). Its text may name the address."""
    sentence = f"the mail server answered {code}"
    return NeverDoneError(sentence) if 500 <= code < 600 else NotDoneError(sentence)


class FolderBackend(BaseEmailBackend):
    """Keeps mails as files under CALLOUT_HOME/mail instead of sending them; production refuses to."""

    def send_messages(self, email_messages: Sequence[Any]) -> int:
        if environment().environment == "production":
            raise NotDoneError("EMAIL_HOST is not set")
        for message in email_messages:
            content = message.message()
            name = str(content["Message-ID"]).strip("<>").partition("@")[0]
            file = keep_private("mail", f"{name}.eml", content.as_bytes())
            log.info("mail.kept", file=file.name)
        return len(email_messages)
