"""Addresses, the public directory, and whether a name is free."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.accounts import public
from backend.accounts.models import Address, Skill, User, UserSkill
from backend.core.errors import NotFound, ValidationFailed
from backend.core.models import AuditRow
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]
HOME: dict[str, Any] = {
    "street_address": "12 rue Didouche Mourad",
    "city": "Algiers",
    "state": "Alger",
    "zip_code": "16000",
    "country": "dz",
}


class TestAddresses:
    def test_keeps_one_primary(self, api: Api, member: MakeMember, at: Moment) -> None:
        mine = api.as_(member())
        first = mine.post("/me/addresses/", HOME)
        assert first.status == 201
        moment = "2030-05-15T09:30:00Z"
        assert first.body == {
            **HOME,
            "id": first.body["id"],
            "country": "DZ",
            "is_primary": True,
            "created_at": moment,
            "updated_at": moment,
        }
        second = mine.post("/me/addresses/", {**HOME, "city": "Oran"}).body
        assert second["is_primary"] is False
        third = mine.post("/me/addresses/", {**HOME, "is_primary": True}).body
        assert mine.patch(f"/me/addresses/{second['id']}/", {"is_primary": True, "city": "Annaba"}).body["city"] == (
            "Annaba"
        )
        listed = mine.get("/me/addresses/").body["results"]
        assert [(one["id"], one["is_primary"]) for one in listed] == [
            (second["id"], True),
            (first.body["id"], False),
            (third["id"], False),
        ]
        assert mine.delete(f"/me/addresses/{second['id']}/").status == 204
        assert Address.objects.count() == 2

    def test_are_their_owners_alone(self, api: Api, member: MakeMember) -> None:
        me, other = member(), member()
        theirs = api.as_(other).post("/me/addresses/", HOME).body
        before = list(Address.objects.values())
        assert api.as_(me).get("/me/addresses/").body["results"] == []
        for path in (f"/me/addresses/{theirs['id']}/", "/me/addresses/999999/"):
            assert api.as_(me).patch(path, {"city": "Oran"}).code == "not_found"
            assert api.as_(me).delete(path).code == "not_found"
        assert list(Address.objects.values()) == before

    @pytest.mark.parametrize(
        "wrong", [{"city": ""}, {"street_address": None}, {"country": "XX"}, {"user": 1}, {"user_id": 1}, {"id": 7}]
    )
    def test_refuses_what_is_not_valid(self, api: Api, member: MakeMember, wrong: dict[str, Any]) -> None:
        mine = api.as_(member())
        assert mine.post("/me/addresses/", {**HOME, **wrong}).status == 422
        assert not Address.objects.exists()

    def test_keeps_fifty_at_most(self, api: Api, member: MakeMember, at: Moment) -> None:
        me = member()
        Address.objects.bulk_create(
            Address(user=me.user, street_address="x", city="y", created_at=at.now, updated_at=at.now) for _ in range(50)
        )
        assert api.as_(me).post("/me/addresses/", HOME).code == "too_many_addresses"


class TestDirectory:
    def test_shows_nothing_private(
        self, api: Api, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        me = member(
            "client",
            "freelancer",
            username="Amel",
            name="Amel Haddad",
            phone_number="+213550123456",
            city="Algiers",
            address="secret",
            lat=1,
            lng=2,
        )
        shown = {
            "id": me.id,
            "username": "Amel",
            "name": "Amel Haddad",
            "first_name": "Amel",
            "last_name": "Haddad",
            "roles": ["client", "freelancer"],
            "bio": "",
            "city": "Algiers",
            "country": "",
            "photo": None,
            "skills": [],
            "is_verified": False,
            "created_at": "2030-05-15T09:30:00Z",
        }
        with django_assert_num_queries(3):  # the count, the people, their skills
            assert api.get("/users/").body["results"] == [shown]
        with django_assert_num_queries(2):
            assert api.get("/users/amel/").body == shown
        assert api.get(f"/users/by-id/{me.id}/").body == shown

    def test_filters_and_orders(self, api: Api, member: MakeMember, at: Moment) -> None:
        people = {
            name: member(*roles, name=name, city=city).id
            for name, roles, city in [
                ("Ana", ["client"], "Oran"),
                ("Bea", ["client", "freelancer"], "Algiers"),
                ("Cid", ["freelancer"], "algiers"),
            ]
        }

        def found(**query: Any) -> list[str]:
            names = {user_id: name for name, user_id in people.items()}
            return [names[one["id"]] for one in api.get("/users/", ordering="name", **query).body["results"]]

        assert found() == ["Ana", "Bea", "Cid"]
        assert found(role="freelancer") == ["Bea", "Cid"]
        assert found(role=["client", "freelancer"], not_role="client") == ["Cid"]
        assert found(city="ALGIERS") == ["Bea", "Cid"]
        assert found(search="be") == ["Bea"]
        assert found(search="%") == []
        assert [one["id"] for one in api.get("/users/", ordering="-name").body["results"]] == (
            list(reversed(people.values()))
        )

    def test_shows_photos_and_skills_in_as_many_queries(
        self, api: Api, member: MakeMember, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        ids = public.ensure_skills(names=["tyres", "Batteries", "Lockout"], now=at.now)
        people = [member(photo=f"photos/{number}") for number in range(3)]
        for person in people:
            public.set_skills(actor=person.actor, skill_ids=[ids["tyres"], ids["Batteries"]], now=at.now)
        with django_assert_num_queries(3):
            listed = api.get("/users/", ordering="created_at").body["results"]
        for person, shown in zip(people, listed, strict=True):
            assert shown["skills"] == [
                {"id": ids["Batteries"], "name": "Batteries"},
                {"id": ids["tyres"], "name": "tyres"},
            ]
            assert shown["photo"] == public.photo_links(person.user.photo, now=at.now)
            assert api.get(f"/users/by-id/{person.id}/").body == shown

    def test_finds_who_has_all_of_the_skills(self, api: Api, member: MakeMember, at: Moment) -> None:
        ids = public.ensure_skills(names=["tyres", "batteries", "lockout"], now=at.now)
        one, two, _ = member(), member(), member()
        public.set_skills(actor=one.actor, skill_ids=[ids["tyres"]], now=at.now)
        public.set_skills(actor=two.actor, skill_ids=[ids["tyres"], ids["batteries"]], now=at.now)

        def found(*skills: int) -> list[int]:
            return [row["id"] for row in api.get("/users/", ordering="created_at", skills=skills).body["results"]]

        assert found(ids["tyres"]) == [one.id, two.id]
        assert found(ids["batteries"], ids["tyres"], ids["tyres"]) == [two.id]
        assert found(ids["tyres"], ids["lockout"]) == []
        assert found(10**12) == []

    def test_hides_who_runs_the_platform_and_who_is_out_of_use(self, api: Api, member: MakeMember) -> None:
        hidden = [member("manager"), member("client", "admin"), member()]
        User.objects.filter(pk=hidden[2].id).update(is_active=False)
        assert api.get("/users/").body["count"] == 0
        for person in hidden:
            assert api.get(f"/users/by-id/{person.id}/").code == "not_found"
            assert api.get(f"/users/{person.user.username}/").code == "not_found"

    @pytest.mark.parametrize(
        "query",
        [
            {"ordering": "password"},
            {"ordering": "email"},
            {"role": "admin"},
            {"email": "amel@example.org"},
            {"password__startswith": "a"},
            {"search": "x" * 101},
            {"skills": "tyres"},
            {"skills": "0"},
            {"skills": list(range(1, 12))},
        ],
    )
    def test_refuses_other_filters(self, api: Api, query: dict[str, Any]) -> None:
        assert api.get("/users/", **query).status == 422


class TestSkills:
    def test_are_once_on_the_list_however_they_are_written(self, at: Moment) -> None:
        first = public.ensure_skills(names=["Tyres", "tyres"], now=at.now)
        again = public.ensure_skills(names=["TYRES", "Lockout"], now=at.now)
        assert {*first.values()} == {again["TYRES"]}
        assert sorted(Skill.objects.values_list("name", flat=True)) == ["Lockout", "tyres"]

    def test_are_replaced_as_a_whole(self, member: MakeMember, at: Moment) -> None:
        ids = public.ensure_skills(names=["a", "b", "c"], now=at.now)
        me, other = member(), member()
        for whose in (me, other):
            public.set_skills(actor=whose.actor, skill_ids=[ids["a"], ids["b"]], now=at.now)
        mine = public.set_skills(actor=me.actor, skill_ids=[ids["c"], ids["b"], ids["c"]], now=at.now)
        assert mine == [public.SkillView(id=ids["b"], name="b"), public.SkillView(id=ids["c"], name="c")]
        assert public.skills_of([me.id, other.id, 10**12]) == {
            me.id: mine,
            other.id: [public.SkillView(id=ids["a"], name="a"), public.SkillView(id=ids["b"], name="b")],
        }
        audited = AuditRow.objects.filter(action="accounts.skills_changed", actor_id=me.id).order_by("id")
        assert [row.changes for row in audited] == [
            {"added": sorted([ids["a"], ids["b"]]), "removed": []},
            {"added": [ids["c"]], "removed": [ids["a"]]},
        ]
        assert public.set_skills(actor=me.actor, skill_ids=[], now=at.now) == []

    def test_refuse_what_is_not_on_the_list_and_too_many(self, member: MakeMember, at: Moment) -> None:
        me = member()
        ids = public.ensure_skills(names=[f"skill {number}" for number in range(51)], now=at.now)
        for wanted in ([10**12], [*ids.values()]):
            with pytest.raises(ValidationFailed):
                public.set_skills(actor=me.actor, skill_ids=wanted, now=at.now)
        User.objects.filter(pk=me.id).update(is_active=False)
        with pytest.raises(NotFound):
            public.set_skills(actor=me.actor, skill_ids=[], now=at.now)
        assert not UserSkill.objects.exists()


class TestAvailability:
    def test_says_whether_it_is_free(self, api: Api, member: MakeMember) -> None:
        member(username="Amel", email="Amel@example.org")
        assert api.get("/auth/availability/", username="AMEL").body == {"is_available": False}
        assert api.get("/auth/availability/", email="amel@EXAMPLE.org").body == {"is_available": False}
        assert api.get("/auth/availability/", username="amel2").body == {"is_available": True}
        assert api.get("/auth/availability/", email="other@example.org").body == {"is_available": True}

    @pytest.mark.parametrize("query", [{}, {"username": "amel", "email": "a@b.org"}, {"username": "a"}, {"email": "x"}])
    def test_takes_one_of_the_two(self, api: Api, query: dict[str, str]) -> None:
        assert api.get("/auth/availability/", **query).status == 422

    def test_answers_ten_times_a_minute(self, api: Api, limits_on: None) -> None:
        answers = [api.get("/auth/availability/", username="amel") for _ in range(12)]
        assert [answer.status for answer in answers] == [200] * 10 + [429] * 2
        assert int(answers[-1].headers["Retry-After"]) <= 6
