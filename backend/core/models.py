"""The tables of the spine: events and their numbers, jobs, timers, history, audit, idempotency, the clock."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from shared_contracts.jobs import Queue


class EventRow(models.Model):
    """One event in one room. It is written without a number; the relay gives it the next one of its room."""

    room = models.CharField(max_length=40)
    partition = models.PositiveSmallIntegerField()
    number = models.BigIntegerField(null=True)
    type = models.CharField(max_length=40)
    data = models.TextField()
    """The event's fields as JSON text, kept to the byte: it is sent as it stands."""
    request_id = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    """By the movable clock."""
    written_at = models.DateTimeField(db_default=Now())
    """By the database's clock: how long it waits for its number."""

    class Meta:
        db_table = "core_event"
        constraints = [models.UniqueConstraint(fields=["room", "number"], name="event_number_once_per_room")]
        indexes = [
            models.Index(fields=["partition", "id"], condition=Q(number__isnull=True), name="event_unnumbered"),
            models.Index(fields=["created_at"], name="event_created_at"),
        ]


class RoomHead(models.Model):
    """The last number given in a room. Rows are never deleted, or numbers would start anew."""

    room = models.CharField(primary_key=True, max_length=40)
    head = models.BigIntegerField()

    class Meta:
        db_table = "core_room_head"


class Epoch(models.Model):
    """The life of this database: one row, changed by a restore, named by every cursor."""

    name = models.CharField(max_length=16)

    class Meta:
        db_table = "core_epoch"


class Clock(models.Model):
    """How far the test clock is ahead of the real one. One row; production refuses to look at it."""

    offset_ms = models.BigIntegerField(default=0)

    class Meta:
        db_table = "core_clock"


class JobRow(models.Model):
    """A job: what to do, when, who holds it, how often it was tried. Dramatiq carries only its id."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        DEAD = "dead"

    name = models.CharField(max_length=80)
    queue = models.CharField(max_length=8, choices=[(queue.value, queue.value) for queue in Queue])
    arguments = models.JSONField()
    one_per = models.CharField(max_length=60, null=True)  # noqa: DJ001 - most jobs are as many as were asked for
    """While it waits to be handed out, there is no other of its name for this; handed out, it is for nothing."""
    request_id = models.CharField(max_length=64)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.PENDING)
    run_at = models.DateTimeField()
    """When it is due, by the movable clock."""
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    """When a relay last gave it to Dramatiq, by the database's clock, as all leases are."""
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    """Grows with every lease: a worker that lost its lease cannot complete the job."""
    attempts = models.PositiveSmallIntegerField(default=0)
    calls_unknown = models.PositiveSmallIntegerField(default=0, db_default=0)
    """Outside calls that began and of which nobody wrote down how they ended."""
    last_error = models.TextField(default="")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "core_job"
        constraints = [
            models.UniqueConstraint(
                fields=["name", "one_per"],
                condition=Q(one_per__isnull=False, sent_at__isnull=True),
                name="job_waits_once",
            )
        ]
        indexes = [
            models.Index(fields=["queue", "run_at", "id"], condition=Q(status="pending"), name="job_pending"),
            models.Index(fields=["queue"], condition=Q(status="pending", sent_at__isnull=False), name="job_out"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="job_finished"),
        ]


class Timer(models.Model):
    """An entry of the timetable: the relay enqueues its job when `next_run_at` has come, and moves it on."""

    name = models.CharField(primary_key=True, max_length=80)
    next_run_at = models.DateTimeField()

    class Meta:
        db_table = "core_timer"


class StateChange(models.Model):
    """One step in the life of a thing: who moved it, when, from what to what, and why."""

    append_only = True
    forgettable = ("reason",)
    """Somebody's words, which go with their account; the step itself stays as it was."""

    reference = models.CharField(max_length=40)
    version = models.PositiveIntegerField()
    from_status = models.CharField(max_length=20)
    to_status = models.CharField(max_length=20)
    by_id = models.BigIntegerField(null=True)
    """The person's id; null when the timetable did it."""
    reason = models.TextField(default="")
    at = models.DateTimeField()

    class Meta:
        db_table = "core_state_change"
        constraints = [models.UniqueConstraint(fields=["reference", "version"], name="state_change_once_per_version")]
        indexes = [models.Index(fields=["by_id"], condition=~models.Q(reason=""), name="state_change_reasons")]


class AuditRow(models.Model):
    """Who changed what, when and from where. Written in the change's own transaction, never changed."""

    append_only = True

    actor_id = models.BigIntegerField(null=True)
    action = models.CharField(max_length=80)
    reference = models.CharField(max_length=60)
    changes = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64)
    client_address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "core_audit"
        indexes = [
            models.Index(fields=["reference", "-id"], name="audit_of_thing"),
            models.Index(fields=["actor_id", "-id"], name="audit_of_actor"),
        ]


class IdempotentAnswer(models.Model):
    """The answer that a request with an `Idempotency-Key` got, to be given again to its repetition."""

    user_id = models.BigIntegerField()
    operation = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    body_hash = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "core_idempotent_answer"
        constraints = [
            models.UniqueConstraint(fields=["user_id", "operation", "key"], name="idempotent_answer_once"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotent_answer_age")]
