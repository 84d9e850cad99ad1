from collections.abc import Callable
from datetime import date

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from backend.accounts import public
from backend.accounts.errors import EmailTaken
from backend.accounts.models import User
from backend.accounts.public import AssistantFields, AssistantView, DrivingLicense, PersonView
from backend.core.errors import Forbidden, NotFound, ValidationFailed
from backend.core.models import AuditRow
from tests.backend.accounts.support import PASSWORD, everything
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]


class TestViews:
    def test_show_people(self, member: MakeMember, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        amel, lina = member(name="Amel"), member(name="Lina")
        with django_assert_num_queries(1):
            assert public.people([amel.id, lina.id, amel.id, 10**12]) == {
                amel.id: PersonView(amel.id, "Amel"),
                lina.id: PersonView(lina.id, "Lina"),
            }
        assert public.person(amel.id) == PersonView(amel.id, "Amel")
        with pytest.raises(NotFound):
            public.person(10**12)

    def test_show_an_assistant(self, member: MakeMember, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        me = member("assistant", assistant={"licence_number": "L", "vehicle_registration_number": "R"})
        with django_assert_num_queries(1):
            found = public.assistant_of(me.id)
        assert found == AssistantView(
            user_id=me.id,
            service_type="towing",
            vehicle_type="Tow truck",
            vehicle_class="heavy",
            licence_category="c",
            licence_number="L",
            licence_expires_on=date(2040, 1, 1),
            vehicle_registration_number="R",
        )

    @pytest.mark.parametrize("change", [{"roles": ["client"]}, {"is_active": False}])
    def test_show_no_assistant_who_is_none_any_more(self, member: MakeMember, change: dict[str, object]) -> None:
        me = member("assistant")
        User.objects.filter(pk=me.id).update(**change)
        with pytest.raises(NotFound):
            public.assistant_of(me.id)


class TestRecipients:
    def test_show_how_the_active_are_reached(
        self, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        amel = member(phone_number="+213550000001", email_verified_at=at.now, language="ar", time_zone="Africa/Algiers")
        gone = member(is_active=False)
        with django_assert_num_queries(1):
            found = public.hold_recipients([gone.id, amel.id, 10**12])
        assert found == {
            amel.id: public.RecipientView(
                id=amel.id,
                email=amel.user.email,
                email_verified_at=at.now,
                phone_number="+213550000001",
                phone_verified_at=None,
                language="ar",
                time_zone="Africa/Algiers",
            )
        }

    def test_managers_are_those_who_run_the_platform_now(self, member: MakeMember) -> None:
        managers = [member("manager"), member("client", "admin")]
        member("manager", is_active=False)
        member("client")
        assert public.manager_ids() == [one.id for one in managers]


class TestHoldActive:
    def test_holds_those_who_are_there(
        self, member: MakeMember, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        people = [member().id for _ in range(3)]
        with django_assert_num_queries(1):
            public.hold_active([*people, people[0]])

    def test_does_not_find_the_inactive(self, member: MakeMember) -> None:
        me, gone = member(), member(is_active=False)
        for ids in ([gone.id], [me.id, gone.id], [10**12]):
            with pytest.raises(NotFound):
                public.hold_active(ids)


class TestUpdateAssistantProfile:
    def test_changes_what_was_given(self, member: MakeMember, at: Moment, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[int] = []
        answers = {"test": lambda *, user_id, now: told.append(user_id)}
        monkeypatch.setattr(public.ASSISTANT_CHANGED, "_answers", answers)
        me = member("assistant", assistant={"vehicle_type": "Old"})
        licence = DrivingLicense(category="b", number="N", expires_on=date(2030, 5, 16))
        view = public.update_assistant_profile(
            actor=me.actor, given=AssistantFields(vehicle_class="light", driving_license=licence), now=at.now
        )
        assert view == public.assistant_of(me.id)
        assert (view.vehicle_type, view.vehicle_class, view.service_type) == ("Old", "light", "towing")
        assert (view.licence_category, view.licence_number, view.licence_expires_on) == ("b", "N", date(2030, 5, 16))
        assert AuditRow.objects.get().changes == {"fields": ["vehicle_class", "driving_license"]}
        assert told == [me.id]

    def test_refuses_others_and_a_licence_that_has_run_out(self, member: MakeMember, at: Moment) -> None:
        client, assistant = member(), member("assistant")
        before = everything()
        with pytest.raises(Forbidden):
            public.update_assistant_profile(actor=client.actor, given=AssistantFields(vehicle_type="x"), now=at.now)
        old = DrivingLicense(category="b", number="N", expires_on=at.now.date())
        with pytest.raises(ValidationFailed):
            public.update_assistant_profile(
                actor=assistant.actor, given=AssistantFields(driving_license=old), now=at.now
            )
        assert everything() == before


class TestAccountsByThePlatform:
    def test_make_an_admin_who_can_sign_in(self, api: Api, at: Moment) -> None:
        assert not public.has_people()
        made = public.create_admin(email="Root@example.org", name=" Root  User ", password=PASSWORD, now=at.now)
        assert made == PersonView(made.id, "Root User")
        assert public.has_people()
        assert public.is_email_known("ROOT@example.org")
        assert not public.is_email_known("other@example.org")
        answer = api.post("/auth/login/", {"identifier": "root@example.org", "password": PASSWORD, "roles": ["admin"]})
        assert answer.body["user"]["roles"] == ["admin"]
        assert public.create_manager(email="m@example.org", name="M", password=PASSWORD, now=at.now).id != made.id

    def test_refuse_what_signing_up_refuses(self, at: Moment) -> None:
        public.create_admin(email="root@example.org", name="Root", password=PASSWORD, now=at.now)
        before = everything()
        with pytest.raises(EmailTaken):
            public.create_admin(email="root@example.org", name="Root", password=PASSWORD, now=at.now)
        for email, password in (("nobody", PASSWORD), ("a@example.org", "password"), ("a@example.org", "short")):
            with pytest.raises(ValidationFailed):
                public.create_admin(email=email, name="Root", password=password, now=at.now)
        assert everything() == before


class TestSetLocation:
    def test_keeps_the_place_of_the_active(self, api: Api, member: MakeMember, at: Moment) -> None:
        me, other = member(), member(is_active=False)
        for person in (me, other):
            public.set_location(user_id=person.id, lat=36.5, lng=3.5, now=at.now)
        answer = api.as_(me).get("/me/")
        assert (answer.body["location"], answer.headers["ETag"]) == ({"lat": 36.5, "lng": 3.5}, '"2"')
        assert User.objects.get(pk=other.id).lat is None


class TestWhatMustNeverBeFalse:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"email": None, "phone_number": None},
            {"lat": 91.0, "lng": 0.0},
            {"lat": None, "lng": 5.0},
            {"lat": float("nan"), "lng": 0.0},
            {"roles": []},
            {"roles": ["emperor"]},
        ],
    )
    def test_is_refused_by_the_table_itself(self, member: MakeMember, wrong: dict[str, object]) -> None:
        me = member()
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.filter(pk=me.id).update(**wrong)
