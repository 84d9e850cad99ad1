"""E-mails: written from a module's templates in a person's language, put on the wire by a job."""

from backend.core.mail.delivery import deliver
from backend.core.mail.writing import compose, write_text

__all__ = ["compose", "deliver", "write_text"]
