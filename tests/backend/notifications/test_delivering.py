"""What leaves the house: e-mails, SMS, the daily e-mail, quiet hours; what is given up; unsubscribing."""

from datetime import datetime, time, timedelta
from email import message_from_string, policy
from typing import Any

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import User
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from backend.core.models import AuditRow, JobRow
from backend.notifications.models import Bounce, Delivery, Notification, Preferences
from backend.notifications.services import delivering, gathering, queueing, telling
from backend.notifications.services.telling import tell
from backend.notifications.services.unsubscribing import link_for
from backend.notifications.values import NotificationType, Telling
from tests.backend.notifications.conftest import Announce, MakeMember, announcement
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member
from tests.support.world import everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The SMS that were sent."""
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr("backend.core.sms.deliver", lambda *, to, text: sent.append((to, text)))
    return sent


def prefer(member: Member, at: Moment, **fields: Any) -> None:
    Preferences.objects.update_or_create(user_id=member.id, defaults={"updated_at": at.now, **fields})


def needed(member: Member, at: Moment, source: str = "event:1") -> Delivery:
    """An e-mail that belongs to the service."""
    values = {"document_code": "insurance", "reason": ""}
    tell(Telling(NotificationType.DOCUMENT_APPROVED, [member.id], values), source=source, now=at.now)
    return Delivery.objects.get(notification__source=source, channel="email")


def states() -> list[tuple[str, str, str]]:
    return list(Delivery.objects.order_by("pk").values_list("channel", "status", "reason"))


class TestMail:
    def test_goes_out_as_html_and_text_in_the_person_s_language(
        self, amel: Member, at: Moment, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        User.objects.filter(pk=amel.id).update(language="ar")
        delivery = needed(amel, at)
        run_jobs("notifications.deliver")
        (sent,) = mailoutbox
        assert (sent.to, sent.subject) == (["amel@example.org"], "تمت الموافقة على مستندك")
        assert sent.body == "التأمين\n"
        assert '<html lang="ar" dir="rtl">' in str(sent.alternatives[0][0])
        assert sent.extra_headers["Message-ID"] == f"<{delivery.key}@localhost>"
        assert not any(name.startswith("List-") for name in sent.extra_headers)
        assert states() == [("email", "sent", "")]

    def test_one_that_is_not_needed_can_be_unsubscribed_from(
        self, amel: Member, announce: Announce, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        announce(amel, title="Hello <b>all</b>", text="One & two")
        run_jobs("notifications.deliver")
        (sent,) = mailoutbox
        link = link_for(user_id=amel.id, type_="announcement")
        message = message_from_string(sent.message().as_string(), policy=policy.default)
        assert message["List-Unsubscribe"].replace(" ", "") == f"<{link}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        html = str(sent.alternatives[0][0])
        assert "Hello &lt;b&gt;all&lt;/b&gt;" in html
        assert "One &amp; two" in html
        assert f'href="{link}"' in html
        assert sent.subject == "Hello <b>all</b>"
        assert link in sent.body

    def test_one_that_is_not_needed_goes_to_proved_addresses_only(
        self, amel: Member, at: Moment, announce: Announce
    ) -> None:
        """Seen red without the look at the proof."""
        User.objects.filter(pk=amel.id).update(email_verified_at=None)
        announce(amel)
        assert states() == []
        needed(amel, at)
        assert states() == [("email", "queued", "")]

    def test_what_was_switched_off_meanwhile_stays_here(
        self, amel: Member, at: Moment, announce: Announce, mailoutbox: list[EmailMessage]
    ) -> None:
        announce(amel)
        prefer(amel, at, choices={"announcement": {"email": False}})
        run_jobs("notifications.deliver")
        assert mailoutbox == []
        assert states() == [("email", "suppressed", "switched off")]

    @pytest.mark.parametrize(
        ("change", "reason"), [({"is_active": False}, "the account is closed"), ({"email": None}, "no e-mail address")]
    )
    def test_what_cannot_go_anywhere_stays_here(
        self, amel: Member, at: Moment, change: dict[str, Any], reason: str
    ) -> None:
        needed(amel, at)
        User.objects.filter(pk=amel.id).update(**change)
        run_jobs("notifications.deliver")
        assert states() == [("email", "suppressed", reason)]

    def test_is_sent_once_though_its_job_runs_again(
        self, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red with a delivery that is not marked as sent."""
        delivery = needed(amel, at)
        run_jobs("notifications.deliver")
        assert delivering.prepare(delivery_id=delivery.pk, now=at.now) is None
        assert delivering.prepare(delivery_id=10**12, now=at.now) is None
        assert len(mailoutbox) == 1

    def test_an_attempt_is_written_down_before_it_is_made_and_keeps_its_key(self, amel: Member, at: Moment) -> None:
        """Seen red with attempts that are not counted first."""
        delivery = needed(amel, at)
        for attempt in (1, 2):
            assert delivering.prepare(delivery_id=delivery.pk, now=at.now) is not None
            delivery.refresh_from_db()
            assert (delivery.attempts, delivery.status) == (attempt, "queued")
        assert delivery.key == f"notifications.{delivery.pk}.20300515093000"


class TestSms:
    def test_goes_to_a_proved_number_of_whoever_wants_it(
        self, amel: Member, at: Moment, member: MakeMember, texts: list[tuple[str, str]]
    ) -> None:
        unproved = member(phone_number="+213550000002")
        for one in (amel, unproved):
            prefer(one, at, choices={"assistance.accepted": {"sms": True}})
        telling = Telling(NotificationType.ASSISTANCE_ACCEPTED, [amel.id, unproved.id], {"assistant": "Karim"})
        tell(telling, source="event:1", now=at.now)
        run_jobs("notifications.deliver")
        assert texts == [
            (
                "+213550000001",
                "Callout: Karim is coming. Your request was accepted. You can follow the way in the app.",
            )
        ]

    def test_is_not_sent_a_day_late(self, amel: Member, at: Moment, texts: list[tuple[str, str]]) -> None:
        """Seen red without a look at how late it is."""
        prefer(amel, at, choices={"assistance.accepted": {"sms": True}})
        telling = Telling(NotificationType.ASSISTANCE_ACCEPTED, [amel.id], {"assistant": "Karim"})
        tell(telling, source="event:1", now=at.now)
        at.forward(hours=25)
        run_jobs("notifications.deliver")
        assert texts == []
        assert states() == [("sms", "suppressed", "too late")]


class TestQuietHours:
    def test_hold_back_what_is_not_urgent(self, amel: Member, at: Moment, announce: Announce) -> None:
        """Seen red with everything due at once."""
        User.objects.filter(pk=amel.id).update(time_zone="Africa/Algiers")
        prefer(
            amel,
            at,
            quiet_from=time(10),
            quiet_until=time(12),
            choices={"assistance.accepted": {"sms": True}},
        )
        announce(amel)
        telling = Telling(NotificationType.ASSISTANCE_ACCEPTED, [amel.id], {"assistant": "Karim"})
        tell(telling, source="event:1", now=at.now)
        due = Delivery.objects.order_by("pk").values_list("channel", "due_at")
        assert list(due) == [("email", at.now.replace(hour=11, minute=0)), ("sms", at.now)]
        jobs = JobRow.objects.filter(name="notifications.deliver").order_by("pk").values_list("run_at", flat=True)
        assert list(jobs) == [at.now.replace(hour=11, minute=0), at.now]
        assert Notification.objects.filter(is_shown=True).count() == 2

    def test_are_looked_at_again_before_anything_goes_out(
        self,
        amel: Member,
        at: Moment,
        announce: Announce,
        texts: list[tuple[str, str]],
        mailoutbox: list[EmailMultiAlternatives],
    ) -> None:
        """T3. Seen red with quiet hours held to at queueing alone: retries, paced and late ones came at night."""
        prefer(amel, at, choices={"assistance.accepted": {"sms": True}})
        announce(amel)
        tell(Telling(NotificationType.ASSISTANCE_ACCEPTED, [amel.id], {"assistant": "Karim"}), source="e:1", now=at.now)
        prefer(amel, at, quiet_from=time(9), quiet_until=time(12))
        noon = at.now.replace(hour=12, minute=0)
        delivery = Delivery.objects.get(channel="email")
        for _ in range(2):
            run_jobs("notifications.deliver")
            assert delivering.prepare(delivery_id=delivery.pk, now=at.now) is None
        assert states() == [("email", "queued", ""), ("sms", "sent", "")]
        delivery.refresh_from_db()
        assert (delivery.due_at, delivery.attempts, mailoutbox, len(texts)) == (noon, 0, [], 1)
        assert JobRow.objects.filter(arguments={"delivery_id": delivery.pk}, run_at=noon).count() == 1
        call = delivering.prepare(delivery_id=delivery.pk, now=noon - timedelta(seconds=1))
        assert call is not None
        call()
        assert (len(mailoutbox), Delivery.objects.get(pk=delivery.pk).attempts) == (1, 1)

    def test_give_nothing_new_beginnings_for_ever(self, amel: Member, at: Moment, announce: Announce) -> None:
        """Seen red with what fails every day put off every night."""
        announce(amel)
        prefer(amel, at, quiet_from=time(9), quiet_until=time(12))
        Delivery.objects.update(attempts=delivering.MOST_ATTEMPTS)
        assert delivering.prepare(delivery_id=Delivery.objects.get().pk, now=at.now) is None
        assert states() == [("email", "undelivered", "not delivered in 100 attempts")]


class TestDailyEmail:
    def test_gathers_a_day_in_one_mail(
        self, amel: Member, at: Moment, announce: Announce, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        """Seen red with what was gathered left waiting."""
        prefer(amel, at, daily_email=True)
        announce(amel, title="First", text="1")
        announce(amel, source="announcement:2", title="Second <b>", text="2")
        needed(amel, at)
        assert [state for _, state, _ in states()] == ["waiting", "waiting", "queued"]
        job = JobRow.objects.get(name="notifications.write_daily_email")
        assert job.run_at == datetime(2030, 5, 16, 8, tzinfo=at.now.tzinfo)
        run_jobs("notifications.deliver")
        at.forward(days=1)
        for _ in range(2):
            gathering.write_daily_email(user_id=amel.id, now=at.now)
        run_jobs("notifications.deliver")
        _, sent = mailoutbox
        assert sent.subject == "Your day on Callout"
        assert "First\n1\n" in sent.body
        assert "Second <b>\n2\n" in sent.body
        assert "Second &lt;b&gt;" in str(sent.alternatives[0][0])
        assert sent.extra_headers["List-Unsubscribe"] == f"<{link_for(user_id=amel.id, type_='digest')}>"
        assert [state for _, state, _ in states()] == ["gathered", "gathered", "sent", "sent"]

    def test_waits_for_the_end_of_quiet_hours(
        self, amel: Member, at: Moment, announce: Announce, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        """Seen red with a digest that nobody's night holds up."""
        prefer(amel, at, daily_email=True, quiet_from=time(22), quiet_until=time(10))
        announce(amel)
        at.forward(hours=22, minutes=30)  # eight in the morning
        gathering.write_daily_email(user_id=amel.id, now=at.now)
        run_jobs("notifications.deliver")
        digest = Delivery.objects.get(notification__type="digest")
        assert (mailoutbox, digest.status, digest.due_at) == ([], "queued", at.now.replace(hour=10))

    @pytest.mark.parametrize("when", ["before it is written", "after it is written"])
    def test_holds_nothing_that_was_switched_off(
        self,
        api: Api,
        amel: Member,
        at: Moment,
        announce: Announce,
        mailoutbox: list[EmailMultiAlternatives],
        when: str,
    ) -> None:
        """Seen red with whatever waited gathered, and sent."""
        prefer(amel, at, daily_email=True)
        announce(amel, title="Unwanted")
        tell(
            Telling(NotificationType.REVIEW_CREATED, [amel.id], {"author": "Karim", "rating": 5}),
            source="event:2",
            now=at.now,
        )
        assert [status for _, status, _ in states()] == ["waiting", "waiting"]
        unsubscribe = link_for(user_id=amel.id, type_="announcement").partition("/api/v1")[2]
        if when.startswith("before"):
            assert api.post(unsubscribe).status == 200
        gathering.write_daily_email(user_id=amel.id, now=at.now)
        if when.startswith("after"):
            assert api.post(unsubscribe).status == 200
        run_jobs("notifications.deliver")
        (sent,) = mailoutbox
        assert "Unwanted" not in sent.body
        assert Notification.objects.get(type="review.created").title in sent.body
        assert ("suppressed" if when.startswith("before") else "gathered") == states()[0][1]

    def test_is_not_sent_when_nothing_in_it_is_wanted_any_more(
        self, api: Api, amel: Member, at: Moment, announce: Announce, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        prefer(amel, at, daily_email=True)
        announce(amel)
        gathering.write_daily_email(user_id=amel.id, now=at.now)
        api.post(link_for(user_id=amel.id, type_="digest").partition("/api/v1")[2])
        run_jobs("notifications.deliver")
        assert mailoutbox == []
        assert states() == [("email", "gathered", ""), ("email", "suppressed", "switched off")]

    def test_comes_a_last_time_with_what_waited_when_it_was_switched_off(
        self, api: Api, amel: Member, at: Moment, announce: Announce, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        """Seen red with what waited lost."""
        prefer(amel, at, daily_email=True)
        announce(amel, title="Wanted")
        assert api.as_(amel).put("/notifications/preferences/", {"daily_email": False}).status == 200
        gathering.write_daily_email(user_id=amel.id, now=at.now)
        run_jobs("notifications.deliver")
        (sent,) = mailoutbox
        assert "Wanted" in sent.body

    @pytest.mark.parametrize(("waiting", "line"), [(50, None), (53, "And 3 more: you find them in the app.")])
    def test_says_how_many_more_there_are(
        self,
        amel: Member,
        at: Moment,
        announce: Announce,
        mailoutbox: list[EmailMultiAlternatives],
        waiting: int,
        line: str | None,
    ) -> None:
        """Seen red with those beyond fifty left out without a word."""
        prefer(amel, at, daily_email=True)
        for number in range(waiting):
            announce(amel, source=f"announcement:{number}", title=f"News no. {number}.")
        gathering.write_daily_email(user_id=amel.id, now=at.now)
        run_jobs("notifications.deliver")
        (sent,) = mailoutbox
        body, html = str(sent.body), str(sent.alternatives[0][0])
        assert body.count("News no. ") == html.count("News no. ") == 50
        assert f"News no. {waiting - 1}." in body
        assert (line or "more") in body if line else "more:" not in body + html
        assert line is None or line in html
        assert Delivery.objects.filter(status="gathered").count() == waiting

    def test_is_not_written_for_nothing_nor_for_who_has_gone(
        self, amel: Member, at: Moment, announce: Announce
    ) -> None:
        """Seen red with a mail that gathers nothing."""
        gathering.write_daily_email(user_id=amel.id, now=at.now)
        assert not Notification.objects.exists()
        prefer(amel, at, daily_email=True)
        announce(amel)
        User.objects.filter(pk=amel.id).update(is_active=False)
        gathering.write_daily_email(user_id=amel.id, now=at.now)
        assert states() == [("email", "suppressed", "the account is closed")]


class TestGivingUp:
    def test_keeps_it_where_a_manager_sees_it(
        self, api: Api, amel: Member, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        """Seen red with what was given up thrown away."""
        delivery = needed(amel, at)
        error = NotDoneError("the mail server does not let us in:\nTimeoutError")
        delivering.give_up(delivery_id=delivery.pk, error=error, now=at.now)
        delivering.give_up(delivery_id=delivery.pk, error=NeverDoneError("later"), now=at.now)
        manager = api.as_(member("manager"))
        assert manager.get("/admin/undelivered/").body["results"] == [
            {
                "id": delivery.pk,
                "user_id": amel.id,
                "type": "document.approved",
                "reference": "",
                "channel": "email",
                "status": "undelivered",
                "reason": "the mail server does not let us in: TimeoutError",
                "attempts": 0,
                "created_at": "2030-05-15T09:30:00Z",
                "failed_at": "2030-05-15T09:30:00Z",
            }
        ]
        assert manager.get("/admin/undelivered/", channel="sms").body["count"] == 0
        assert manager.get("/admin/undelivered/", user_id=amel.id).body["count"] == 1
        assert not Bounce.objects.exists()
        with django_assert_num_queries(3):
            manager.get("/admin/undelivered/")

    def test_is_tried_again_when_a_manager_says_so_and_only_then(
        self, api: Api, amel: Member, member: MakeMember, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red with a second retry let pass."""
        delivery = needed(amel, at)
        JobRow.objects.filter(name="notifications.deliver").update(status="done")
        delivering.give_up(delivery_id=delivery.pk, error=NobodyThereError("550"), now=at.now)
        boss = member("manager")
        path = f"/admin/undelivered/{delivery.pk}/retry/"
        assert api.as_(boss).post(path).body["status"] == "queued"
        before = everything()
        refused = api.as_(boss).post(path)
        assert (refused.status, refused.code) == (409, "invalid_state")
        assert everything() == before
        assert AuditRow.objects.get(action="notifications.delivery_retried").reference == f"delivery:{delivery.pk}"
        run_jobs("notifications.deliver")
        assert [mail.extra_headers["Message-ID"] for mail in mailoutbox] == [f"<{delivery.key}@localhost>"]
        assert states() == [("email", "sent", "")]

    def test_leaves_a_refused_address_alone_until_it_is_changed_or_proved_again(
        self, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red with refusals that count for nothing, and with such as count for ever."""
        at.forward(minutes=1)
        delivering.give_up(delivery_id=needed(amel, at).pk, error=NobodyThereError("550"), now=at.now)
        JobRow.objects.filter(name="notifications.deliver").update(status="done")
        needed(amel, at, source="event:2")
        run_jobs("notifications.deliver")
        assert [state for _, state, _ in states()] == ["undelivered", "suppressed"]
        User.objects.filter(pk=amel.id).update(email="other@example.org")
        needed(amel, at, source="event:3")
        run_jobs("notifications.deliver")
        User.objects.filter(pk=amel.id).update(email="AMEL@example.org", email_verified_at=at.forward(minutes=1))
        needed(amel, at, source="event:4")
        run_jobs("notifications.deliver")
        assert [mail.to for mail in mailoutbox] == [["other@example.org"], ["AMEL@example.org"]]


class TestUnsubscribing:
    def test_one_click_does_it_for_this_type_alone(
        self, api: Api, amel: Member, at: Moment, announce: Announce
    ) -> None:
        path = link_for(user_id=amel.id, type_="announcement").partition("/api/v1")[2]
        asked = api.get(path)
        assert (asked.status, asked.body) == (200, {"type": "announcement"})
        assert not Preferences.objects.exists()
        for _ in range(2):
            answer = api.raw(
                "POST", path, b"List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"
            )
            assert (answer.status, answer.body) == (200, {"type": "announcement"})
        assert Preferences.objects.get().choices == {"announcement": {"email": False}}
        announce(amel)
        needed(amel, at)
        assert Delivery.objects.filter(channel="email").count() == 1

    @pytest.mark.parametrize(
        ("language", "direction", "word"), [("ar", "rtl", "إلغاء الاشتراك"), ("fr", "ltr", "Se désabonner")]
    )
    def test_a_browser_gets_a_page_in_the_person_s_language_that_asks(
        self, api: Api, amel: Member, at: Moment, language: str, direction: str, word: str
    ) -> None:
        prefer(amel, at, language=language)
        path = link_for(user_id=amel.id, type_="announcement").partition("/api/v1")[2]
        browser = api.with_headers(Accept="text/html", Accept_Language="es")
        page = browser.get(path).body.decode()
        assert f'<html lang="{language}" dir="{direction}">' in page
        assert '<form method="post">' in page
        assert word in page
        done = browser.post(path)
        assert f'lang="{language}"' in done.body.decode()
        assert (done.headers["Referrer-Policy"], done.headers["Cache-Control"]) == ("no-referrer", "no-store")
        unknown = browser.get("/unsubscribe/x/")
        assert (unknown.status, 'lang="es"' in unknown.body.decode()) == (422, True)

    def test_works_years_later(self, api: Api, amel: Member, at: Moment) -> None:
        path = link_for(user_id=amel.id, type_="announcement").partition("/api/v1")[2]
        at.forward(days=4000)
        assert api.post(path).status == 200

    def test_ends_the_daily_email_and_what_it_gathered(self, api: Api, amel: Member, at: Moment) -> None:
        prefer(amel, at, daily_email=True)
        path = link_for(user_id=amel.id, type_="digest").partition("/api/v1")[2]
        assert api.post(path).status == 200
        preferences = Preferences.objects.get()
        assert preferences.daily_email is False
        assert preferences.choices["announcement"] == {"email": False}

    @pytest.mark.parametrize("spoil", [lambda t: t + "x", lambda t: t[1:], lambda t: t.replace("announcement", "x")])
    def test_a_link_that_is_not_ours_does_nothing(self, api: Api, amel: Member, spoil: Any) -> None:
        token = spoil(link_for(user_id=amel.id, type_="announcement").split("/")[-2])
        before = everything()
        assert (api.get(f"/unsubscribe/{token}/").status, api.post(f"/unsubscribe/{token}/").status) == (404, 404)
        assert everything() == before

    def test_no_link_switches_off_what_the_service_needs(self, api: Api, amel: Member) -> None:
        path = link_for(user_id=amel.id, type_="document.expiring").partition("/api/v1")[2]
        assert api.post(path).status == 404


class TestPreferences:
    def test_begin_as_the_table_says(self, api: Api, amel: Member) -> None:
        read = api.as_(amel).get("/notifications/preferences/").body
        rows = {row["type"]: row for row in read["types"]}
        assert rows["announcement"] == {
            "type": "announcement",
            "in_app": True,
            "email": True,
            "sms": None,
            "push": True,
            "is_urgent": False,
        }
        assert rows["account.notice"]["email"] is None
        assert (read["quiet_hours"], read["daily_email"], read["language"]) == (None, False, None)

    def test_are_replaced_whole(self, api: Api, amel: Member, announce: Announce) -> None:
        mine = api.as_(amel)
        given = {
            "types": [{"type": "announcement", "in_app": False, "email": False, "push": False}],
            "quiet_hours": {"start": "22:00", "until": "07:00"},
            "daily_email": True,
            "language": "ru",
        }
        put = mine.put("/notifications/preferences/", given)
        assert put.status == 200
        assert put.body == mine.get("/notifications/preferences/").body
        assert put.body["quiet_hours"] == {"start": "22:00", "until": "07:00"}
        assert announce(amel) == 0
        mine.put("/notifications/preferences/", {})
        assert mine.get("/notifications/preferences/").body["quiet_hours"] is None
        assert announce(amel) == 1

    def test_are_replaced_only_as_they_were_read(self, api: Api, amel: Member) -> None:
        """Seen red with `If-Match` not looked at."""
        mine, path = api.as_(amel), "/notifications/preferences/"
        tag = mine.get(path).headers["ETag"]
        insisting = mine.with_headers(If_Match=tag)
        put = insisting.put(path, {"daily_email": True})
        assert (put.status, tag, put.headers["ETag"]) == (200, '"1"', '"2"')
        late = insisting.put(path, {"language": "ru"})
        assert (late.status, late.code) == (412, "precondition_failed")
        read = mine.get(path)
        assert (read.headers["ETag"], read.body) == ('"2"', put.body)
        assert mine.put(path, {}).headers["ETag"] == '"3"'

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"types": [{"type": "account.notice", "in_app": False}]}, "body.types"),
            ({"types": [{"type": "announcement", "sms": True}]}, "body.types"),
            ({"types": [{"type": "announcement"}, {"type": "announcement"}]}, "body.types"),
            ({"quiet_hours": {"start": "07:00", "until": "07:00"}}, "body.quiet_hours.until"),
            ({"quiet_hours": {"start": "24:00", "until": "07:00"}}, "body.quiet_hours.start"),
            ({"language": "tlh"}, "body.language"),
        ],
    )
    def test_refuse_what_cannot_be(self, api: Api, amel: Member, body: dict[str, Any], field: str) -> None:
        before = everything()
        refused = api.as_(amel).put("/notifications/preferences/", body)
        assert (refused.status, list(refused.fields)) == (422, [field])
        assert everything() == before

    def test_speak_the_language_that_was_chosen(self, amel: Member, at: Moment) -> None:
        prefer(amel, at, language="es")
        needed(amel, at)
        assert Notification.objects.get().title == "Tu documento fue aprobado"


class TestFanOut:
    def test_is_of_five_hundred_at_once(self, at: Moment) -> None:
        """Seen red with another number."""
        from backend.notifications import public

        public.announce(user_ids=range(1, 1002), title="News", text="…", source="announcement:1", now=at.now)
        jobs = JobRow.objects.filter(name="notifications.tell").order_by("pk")
        assert [len(job.arguments["user_ids"]) for job in jobs] == [500, 500, 1]
        assert (telling.MOST_AT_ONCE, jobs[2].arguments["user_ids"]) == (500, [1001])

    def test_keeps_plain_addresses(
        self, amel: Member, member: MakeMember, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen red with addresses left out of the jobs, and not counted among those who are told at once."""
        monkeypatch.setattr(telling, "MOST_AT_ONCE", 2)
        people = [amel, member(email_verified_at=at.now)]
        one = Telling(
            NotificationType.ANNOUNCEMENT,
            [one.id for one in people],
            {"title": "News", "text": "…"},
            addresses=["c@example.org", "A@example.org", "a@example.org", "b@example.org"],
            addressed_by=amel.id,
        )
        for _ in range(2):
            telling.tell_all([one], source="event:1", now=at.now)
        run_jobs("notifications.tell")
        told = Delivery.objects.order_by("due_at").values_list("user_id", "notification__address")
        assert list(told) == [
            (people[0].id, ""),
            (people[1].id, ""),
            *[(None, f"{name}@example.org") for name in "abc"],
        ]
        assert len(set(Delivery.objects.values_list("due_at"))) == 5

    def test_goes_in_jobs_of_five_hundred_and_is_paced_outside(
        self, member: MakeMember, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from backend.notifications import public

        monkeypatch.setattr(telling, "MOST_AT_ONCE", 3)
        people = [member(email_verified_at=at.now) for _ in range(7)]
        for _ in range(2):
            public.announce(
                user_ids=[one.id for one in people], title="News", text="…", source="announcement:1", now=at.now
            )
        jobs = JobRow.objects.filter(name="notifications.tell")
        assert [len(job.arguments["user_ids"]) for job in jobs.order_by("pk")[:3]] == [3, 3, 1]
        assert {job.queue for job in jobs} == {"bulk"}
        run_jobs("notifications.tell")
        assert Notification.objects.count() == 7
        due = Delivery.objects.order_by("notification__user_id").values_list("due_at", flat=True)
        assert list(due) == [at.now + timedelta(seconds=n / 50) for n in range(7)]
        sending = JobRow.objects.filter(name__startswith="notifications.deliver").values_list("name", "queue")
        assert list(sending) == [("notifications.deliver_to_many", "bulk")] * 7

    def test_what_is_for_a_few_does_not_wait_behind_what_is_for_many(
        self, member: MakeMember, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queueing, "FEW", 2)
        people = [member(email_verified_at=at.now) for _ in range(3)]
        for told in (people[:2], people):
            tell(announcement(told), source=f"event:{len(told)}", now=at.now)
        sending = JobRow.objects.filter(name__startswith="notifications.deliver").order_by("pk")
        assert list(sending.values_list("queue", flat=True)) == ["prompt"] * 2 + ["bulk"] * 3
