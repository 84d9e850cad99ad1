"""Every read of roadside jobs: who may see which, and what the services load and lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.hot import HotQuery, as_model, columns_of, is_one_of
from backend.dispatch.errors import NobodyToTalkTo, TariffMissing
from backend.dispatch.models import Assistance, DispatchAssistant, Offer, Tariff, TrackPoint, Wave
from backend.dispatch.states import OPEN, TAKEN, OfferStatus, Party, Status

MAX_TRACK_POINTS = 10_000


def _open_offers(actor: Actor) -> QuerySet[Offer]:
    return Offer.objects.filter(assistant_id=actor.id, status=OfferStatus.OPEN)


def get_assistance_for(actor: Actor, assistance_id: int, *, lock: bool = False) -> tuple[Assistance, Party]:
    """A job and what this person is to it; locked against other changes on demand. Raises NotFound. One query."""
    rows = Assistance.objects.annotate(
        offered=Exists(_open_offers(actor).filter(assistance_id=OuterRef("pk"), round=OuterRef("round")))
    )
    if lock:
        rows = rows.select_for_update(no_key=True, of=("self",))
    assistance = rows.filter(pk=assistance_id).first()
    if assistance is None:
        raise NotFound
    if actor.is_manager:
        return assistance, Party.MANAGER
    if actor.id == assistance.client_id:
        return assistance, Party.CLIENT
    if actor.id == assistance.assistant_id:
        return assistance, Party.ASSISTANT
    if assistance.offered:
        return assistance, Party.OFFERED
    raise NotFound


def get_party_assistance(actor: Actor, assistance_id: int) -> Assistance:
    """A job that this person is client or assistant of, or manages. Raises NotFound. One query."""
    assistance, party = get_assistance_for(actor, assistance_id)
    if party is Party.OFFERED:
        raise NotFound
    return assistance


_CONVERSATION = HotQuery(
    lambda job, user: Assistance.objects.filter(Q(client_id=user) | Q(assistant_id=user), pk=job).values_list(
        "conversation_id", "status"
    ),
    job=int,
    user=int,
)


def get_conversation_id(actor: Actor, assistance_id: int) -> int:
    """The conversation of a job that this very person is client or assistant of. Raises NotFound or NobodyToTalkTo."""
    row = _CONVERSATION.row(job=assistance_id, user=actor.id)
    if row is None:
        raise NotFound
    conversation_id: int | None = row[0]
    if conversation_id is None:
        raise NobodyToTalkTo(current_status=row[1])
    return conversation_id


def get_offer_to(actor: Actor, assistance_id: int) -> Offer:
    """The last offer of a job to this person, with the job. Raises NotFound for who was never asked. One query."""
    offers = Offer.objects.filter(assistance_id=assistance_id, assistant_id=actor.id)
    offer = offers.select_related("assistance").order_by("-round").first()
    if offer is None:
        raise NotFound
    return offer


_HELD = HotQuery(
    lambda job: Assistance.objects.select_for_update(no_key=True).filter(pk=job).values_list(*columns_of(Assistance)),
    job=int,
)
_OFFER = HotQuery(
    lambda job, assistant: (
        Offer.objects.filter(assistance_id=job, assistant_id=assistant)
        .order_by("-round")
        .values_list(*columns_of(Offer))[:1]
    ),
    job=int,
    assistant=int,
)


def hold_offer_to(actor: Actor, assistance_id: int) -> Offer:
    """The same while the job is this transaction's: who comes second waits for it. Two compiled queries."""
    held = _HELD.row(job=assistance_id)
    row = _OFFER.row(job=assistance_id, assistant=actor.id)
    if held is None or row is None:
        raise NotFound
    offer = as_model(Offer, row)
    offer.assistance = as_model(Assistance, held)
    return offer


_STANDING = HotQuery(
    lambda job, assistant: (
        Offer.objects.filter(assistance_id=job, assistant_id=assistant)
        .order_by("-round")
        .values_list("assistance__status", "assistance__assistant_id")[:1]
    ),
    job=int,
    assistant=int,
)


def standing_of_offered(actor: Actor, assistance_id: int) -> tuple[str, int | None]:
    """The status of a job that was ever offered to this person, and who has it. Raises NotFound. One compiled query.

    Of many who accept at once all but a few come too late: they are to cost little.
    """
    row = _STANDING.row(job=assistance_id, assistant=actor.id)
    if row is None:
        raise NotFound
    status, holder_id = row
    return status, holder_id


_SEARCHING = HotQuery(
    lambda job: (
        Assistance.objects.select_for_update(no_key=True)
        .filter(pk=job, status=Status.REQUESTED)
        .values_list(*columns_of(Assistance))
    ),
    job=int,
)


def lock_searching(assistance_id: int, *, round_: int) -> Assistance | None:
    """The job, locked, if this round of its search is still going on. One compiled query: every timer asks it."""
    row = _SEARCHING.row(job=assistance_id)
    found = None if row is None else as_model(Assistance, row)
    return found if found is not None and found.round == round_ else None


def open_request_of(client_id: int) -> int | None:
    return Assistance.objects.filter(client_id=client_id, status__in=OPEN).values_list("pk", flat=True).first()


def list_assistance_for(actor: Actor, *, statuses: Sequence[str], oldest_first: bool) -> QuerySet[Assistance]:
    """One's own jobs as client or assistant and those on offer to one; all of them for managers."""
    rows = Assistance.objects.order_by("id" if oldest_first else "-id")
    if not actor.is_manager:
        offered = is_one_of("pk", _open_offers(actor), "assistance_id")
        rows = rows.filter(Q(client_id=actor.id) | Q(assistant_id=actor.id) | offered)
    return rows.filter(status__in=statuses) if statuses else rows


_OFFERS = HotQuery(
    lambda assistant, jobs: Offer.objects.filter(
        assistant_id=assistant, assistance__pk__any=jobs, round=F("assistance__round")
    ).values_list(*columns_of(Offer)),
    assistant=int,
    jobs=list,
)


def list_offers_to(actor: Actor, assistances: Sequence[Assistance]) -> dict[int, Offer]:
    """This person's offers of the jobs' present rounds, by job. One compiled query."""
    rows = _OFFERS.rows(assistant=actor.id, jobs=[assistance.pk for assistance in assistances])
    return {offer.assistance_id: offer for offer in (as_model(Offer, row) for row in rows)}


def list_track(assistance: Assistance) -> list[TrackPoint]:
    """Where the present assistant of the job has been since accepting it, in order."""
    if assistance.accepted_at is None:
        return []
    points = TrackPoint.objects.filter(assistance=assistance, at__gte=assistance.accepted_at)
    return list(points.order_by("at", "id")[:MAX_TRACK_POINTS])


@dataclass(frozen=True, slots=True)
class Trace:
    """How a job was offered: its waves in order, each with its offers nearest first."""

    assistance: Assistance
    waves: Sequence[tuple[Wave, Sequence[Offer]]]

    @property
    def user_ids(self) -> list[int]:
        offered = [offer.assistant_id for _, offers in self.waves for offer in offers]
        return offered + [one["assistant_id"] for wave, _ in self.waves for one in wave.left_out]


def get_trace(actor: Actor, assistance_id: int) -> Trace:
    """For managers. Raises NotFound. Three queries."""
    assistance, _ = get_assistance_for(actor, assistance_id)
    offers = Offer.objects.filter(assistance=assistance).order_by("distance_m", "id")
    by_wave: dict[tuple[int, int], list[Offer]] = {}
    for offer in offers:
        by_wave.setdefault((offer.round, offer.wave), []).append(offer)
    waves = Wave.objects.filter(assistance=assistance).order_by("round", "number")
    return Trace(assistance, [(wave, by_wave.get((wave.round, wave.number), [])) for wave in waves])


_TARIFF = HotQuery(
    lambda service_type, vehicle_class, at: (
        Tariff.objects.filter(service_type=service_type, vehicle_class=vehicle_class, valid_from__lte=at)
        .order_by("-valid_from")
        .values_list(*columns_of(Tariff))[:1]
    ),
    service_type=str,
    vehicle_class=str,
    at=datetime,
)


def tariff_at(service_type: str, vehicle_class: str, at: datetime) -> Tariff:
    """What holds at that moment. Raises TariffMissing. One compiled query."""
    row = _TARIFF.row(service_type=service_type, vehicle_class=vehicle_class, at=at)
    if row is None:
        raise TariffMissing
    return as_model(Tariff, row)


def list_tariffs(*, now: datetime) -> QuerySet[Tariff]:
    """What holds now and what is announced."""
    newer = Tariff.objects.filter(
        service_type=OuterRef("service_type"),
        vehicle_class=OuterRef("vehicle_class"),
        valid_from__lte=now,
        valid_from__gt=OuterRef("valid_from"),
    )
    return Tariff.objects.filter(~Exists(newer)).order_by("service_type", "vehicle_class", "valid_from")


@dataclass(frozen=True, slots=True)
class AtWork:
    """Whether a person is on duty as an assistant, and the jobs they are client or assistant of that go on."""

    on_duty: bool
    job_ids: Sequence[int]
    has_job: bool
    """Whether one of them is theirs to do."""


def at_work(actor: Actor) -> AtWork:
    """Two queries."""
    jobs = Assistance.objects.filter(Q(client_id=actor.id) | Q(assistant_id=actor.id), status__in=TAKEN)
    found = list(jobs.values_list("pk", "assistant_id"))
    return AtWork(
        on_duty=DispatchAssistant.objects.filter(pk=actor.id, on_duty=True).exists(),
        job_ids=[pk for pk, _ in found],
        has_job=any(assistant_id == actor.id for _, assistant_id in found),
    )
