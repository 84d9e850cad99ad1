"""Conversations, their members, and what they said."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

MAX_CONTENT = 4000
"""Characters of one message."""


class Conversation(models.Model):
    """A talk between two or more people, about a subject or under a title."""

    subject = models.CharField(max_length=40, null=True)  # noqa: DJ001 - no subject is not an empty one
    """What it is about, such as `assistance:9`."""
    title = models.CharField(max_length=200, default="")
    opened_with = ArrayField(models.BigIntegerField())
    """The ids of the people it was opened with, ascending: among open conversations the set is unique per subject."""
    opened_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")
    """Null when the platform opened it."""
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    """From then on it is read-only."""

    class Meta:
        db_table = "messaging_conversation"
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "opened_with"],
                condition=Q(subject__isnull=False, closed_at__isnull=True),
                name="conversation_open_once_per_subject",
            ),
            models.UniqueConstraint(
                fields=["title", "opened_with"],
                condition=Q(subject__isnull=True, closed_at__isnull=True),
                name="conversation_open_once_per_title",
            ),
        ]


class Member(models.Model):
    """A person's stay in a conversation; coming back is another stay."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", db_index=False)
    added_event_id = models.BigIntegerField()
    """The row of their own `member.added`: what they may see of the room begins there."""
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "messaging_member"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "conversation"], condition=Q(left_at__isnull=True), name="member_once_at_a_time"
            ),
        ]


class Message(models.Model):
    """Something that was said. Ids of one conversation grow in the order in which its messages were committed."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False)
    sender = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    """Null for a system message."""
    content = models.CharField(max_length=MAX_CONTENT)
    client_id = models.CharField(max_length=64, null=True)  # noqa: DJ001 - most messages of an API client have none
    """The sender's own name for it: sent twice, it is stored once."""
    reply_to = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "messaging_message"
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "sender", "client_id"],
                condition=Q(client_id__isnull=False),
                name="message_once_per_client_id",
            ),
        ]
        indexes = [models.Index(fields=["conversation", "id"], name="message_of_conversation")]
