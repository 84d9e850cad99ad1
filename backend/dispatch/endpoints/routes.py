"""The way by road of a request, asked before its transaction begins and kept with the request."""

from django.http import HttpRequest
from pydantic import ValidationError

from backend.core.environment import environment
from backend.core.errors import Problem
from backend.core.idempotency import Before, OutsideCall
from backend.core.parsing import StrictParser
from backend.dispatch import routing
from backend.dispatch.schemas import AssistanceIn, QuoteIn, point

_KEPT = "callout_routed_m"


def find_route(form: type[QuoteIn | AssistanceIn]) -> Before:
    """For `idempotent`: ask for the way from pickup to drop-off, where there are both and no quote that has it."""

    def before(request: HttpRequest) -> OutsideCall | None:
        if not environment().osrm_url:
            return None
        try:
            asked = form.model_validate(StrictParser().parse_body(request))
        except (Problem, ValidationError, ValueError):
            return None  # it is refused where it is parsed in earnest
        if asked.dropoff is None or (isinstance(asked, AssistanceIn) and asked.quote_id is not None):
            return None
        start, end = point(asked.pickup), point(asked.dropoff)
        return lambda: setattr(request, _KEPT, routing.routed_m(start, end))

    return before


def routed_m(request: HttpRequest) -> int | None:
    """What was found, in metres; None: it has to be estimated."""
    found: int | None = getattr(request, _KEPT, None)
    return found
