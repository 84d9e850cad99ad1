"""What those who talk about a booking read there of what happens to it."""

from datetime import timedelta

import pytest

from backend.messaging.models import Message
from backend.messaging.services import conversations
from tests.backend.scheduling.conftest import Shop
from tests.support.api import Api

pytestmark = pytest.mark.django_db


class TestTalks:
    def test_say_what_happened_to_their_booking_and_to_no_other(self, api: Api, shop: Shop) -> None:
        """Seen red without the subject in the condition, and with conversations that are closed."""
        shop.terms(auto_confirm_minutes=None)
        amel = shop.client()
        booking, other = shop.book(amel), shop.book(amel, shop.tomorrow + timedelta(hours=5))
        about, about_other = [
            conversations.start_conversation(
                actor=amel.actor,
                participants=[shop.provider.id],
                subject=f"booking:{one.pk}",
                title="",
                now=shop.now,
            ).id
            for one in (booking, other)
        ]
        conversations.close_conversation(conversation_id=about_other, now=shop.now)
        for one in (booking, other):
            shop.cancel(shop.confirm(one), amel, reason="Ill")
        mine = api.as_(shop.provider)
        said = mine.get(f"/conversations/{about}/messages/", order="oldest").body["results"]
        starts_at = booking.starts_at.isoformat()
        assert [(one["sender"], one["content"], one["system"]) for one in said] == [
            (None, text, {"code": code, "parameters": {"starts_at": starts_at}})
            for code, text in (
                ("booking.confirmed", "The booking is confirmed."),
                ("booking.cancelled", "The booking was cancelled."),
            )
        ]
        assert Message.objects.count() == 2
        listed = {row["id"]: row["unread_count"] for row in mine.get("/conversations/").body["results"]}
        assert listed == {about: 0, about_other: 0}
