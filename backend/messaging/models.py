"""Conversations, their members, what they said, what they attached, and who wants to hear nothing of whom."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Q

MAX_CONTENT = 4000
"""Characters of one message."""
SEARCH_CONFIGURATION = "simple"
"""Of PostgreSQL's full text search: words as they stand, since a conversation may be in any language."""


class Conversation(models.Model):
    """A talk between two or more people, about a subject or under a title.

    Whatever changes in it (a message, a member, a watermark) locks this row first.
    """

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
    last_message_id = models.BigIntegerField(null=True)
    """The last message that all its members may see; what is withheld from one of them is on its sender's stay."""
    last_message_at = models.DateTimeField()
    """When it was sent; before that, when the conversation was opened."""
    said_count = models.PositiveIntegerField(default=0, db_default=0)
    """How many messages people have said that all its members may see, deleted ones as well."""
    news_at = models.DateTimeField(null=True)
    """When the members of a group are next told where their lists stand; null when nothing is under way."""
    news_told_at = models.DateTimeField(null=True)
    """When they last were."""

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

    @property
    def is_pair(self) -> bool:
        """Opened with two: it never grows, and blocking acts in it."""
        return len(self.opened_with) == 2


class Member(models.Model):
    """A person's stay in a conversation; coming back is another stay."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    """Indexed for stays that are over as well: exports ask for them."""
    added_event_id = models.BigIntegerField()
    """The row of their own `member.added`: what they may see of the room begins there."""
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    left_by = models.BigIntegerField(null=True)
    """Who ended it: the person themselves or another; null also for the platform."""
    since_message_id = models.BigIntegerField(default=0, db_default=0)
    """They see what was said after this message."""
    read_message_id = models.BigIntegerField(default=0, db_default=0)
    """Everything up to this message is read; it never moves back."""
    delivered_message_id = models.BigIntegerField(default=0, db_default=0)
    """Everything up to this message has reached a device of theirs; never below what is read."""
    unread_count = models.PositiveIntegerField(default=0, db_default=0)
    """Messages of other people that they may see, that are not deleted, and that are above what is read."""
    is_muted = models.BooleanField(default=False, db_default=False)
    blocks_other = models.BooleanField(default=False, db_default=False)
    """In a conversation of two: this person has blocked the other."""
    is_listed = models.BooleanField(default=True, db_default=True)
    """False while all there is of it is that somebody blocked has opened it."""
    withheld_message_id = models.BigIntegerField(null=True)
    """The last message of theirs that the other, who had blocked them, never sees."""
    withheld_message_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "messaging_member"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "conversation"], condition=Q(left_at__isnull=True), name="member_once_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(delivered_message_id__gte=F("read_message_id")), name="member_read_was_delivered"
            ),
        ]


class Message(models.Model):
    """Something that was said. Ids of one conversation grow in the order in which its messages were committed."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False)
    sender = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    """Null for a system message."""
    content = models.CharField(max_length=MAX_CONTENT)
    """Empty once deleted. Of a system message: a sentence in English for who does not know the code."""
    client_id = models.CharField(max_length=64, null=True)  # noqa: DJ001 - most messages of an API client have none
    """The sender's own name for it: sent twice, it is stored once."""
    reply_to = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    is_withheld = models.BooleanField(default=False)
    """Only its sender sees it: the other of the two had blocked them when it was sent."""
    position = models.PositiveIntegerField(default=0, db_default=0)
    """The conversation's `said_count` with this message: how many come after it needs no counting."""
    version = models.PositiveIntegerField(default=1, db_default=1)
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    system_code = models.CharField(max_length=60, default="", db_default="")
    """What happened to the subject, such as `assistance.accepted`: apps say it in their own words."""
    parameters = models.JSONField(default=dict, db_default={})
    """Of a system message: what its sentence needs."""

    class Meta:
        db_table = "messaging_message"
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "sender", "client_id"],
                condition=Q(client_id__isnull=False),
                name="message_once_per_client_id",
            ),
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True) | Q(content=""), name="message_deleted_says_nothing"
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "id"], name="message_of_conversation"),
            models.Index(fields=["conversation", "sender", "id"], name="message_of_sender"),
            models.Index(
                fields=["conversation", "id"], condition=Q(deleted_at__isnull=False), name="message_taken_back"
            ),
            GinIndex(SearchVector("content", config=SEARCH_CONFIGURATION), name="message_words"),
        ]


class Attachment(models.Model):
    """A file that somebody uploaded for a message. What no message names within a day is deleted."""

    uploader = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, related_name="attachments")
    position = models.PositiveSmallIntegerField(default=0)
    """Its place in the message."""
    file_key = models.CharField(max_length=80, unique=True)
    """Of the file that media keeps."""
    name = models.CharField(max_length=100)
    """As the uploader called it, for people to read; the file itself is never called so."""
    content_type = models.CharField(max_length=40)
    size_bytes = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "messaging_attachment"
        indexes = [
            models.Index(fields=["created_at"], condition=Q(message__isnull=True), name="attachment_unnamed"),
        ]


class Block(models.Model):
    """A person who wants to hear nothing of another in conversations of two."""

    blocker = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+", db_index=False)
    blocked = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "messaging_block"
        constraints = [
            models.UniqueConstraint(fields=["blocker", "blocked"], name="block_once"),
            models.CheckConstraint(condition=~Q(blocker=F("blocked")), name="block_of_another"),
        ]
