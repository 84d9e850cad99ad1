"""What others may have of dispatch: the relay's bulk of positions, and what demonstrations begin with."""

from datetime import datetime

from backend.core.actor import Actor, Role
from backend.dispatch.services.duty import set_duty
from backend.dispatch.services.positions import record_positions
from backend.dispatch.services.tariffs import ensure_demo_tariffs
from shared_contracts.events import PositionReport

__all__ = ["ensure_demo_tariffs", "put_on_duty", "record_positions"]


def put_on_duty(*, user_id: int, lat: float, lng: float, now: datetime) -> None:
    """Let an assistant be on duty at a place, on behalf of the platform. Raises LicenceExpired, LicenceNotApproved or
    NotFound.
    """
    actor = Actor(id=user_id, roles=frozenset({Role.ASSISTANT}), session_id=0)
    set_duty(actor=actor, is_active=True, now=now)
    record_positions(reports={user_id: PositionReport(lat=lat, lng=lng, at=now)}, now=now)
