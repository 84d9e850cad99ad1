from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.hashers import check_password
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import AssistantProfile, Session, User
from backend.accounts.services.assistants import ASSISTANT_CHANGED
from backend.core.models import AuditRow
from backend.core.tokens import verify_access
from tests.backend.accounts.support import ASSISTANT_FIELDS, PASSWORD, everything, form
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db


class TestRegister:
    def test_makes_an_account_and_signs_in(
        self, api: Api, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_num_queries(10):  # 6 rows, 2 savepoints
            answer = api.with_headers(User_Agent="Phone/1").post(
                "/auth/register/",
                form(city="Algiers", country="dz", address="12 rue X", location={"lat": 36.75, "lng": 3.05}),
            )
        assert answer.status == 201
        user = User.objects.get()
        assert answer.body["user"] == {
            "id": user.pk,
            "username": "amel-haddad",
            "name": "Amel Haddad",
            "first_name": "Amel",
            "last_name": "Haddad",
            "email": "amel@example.org",
            "phone_number": None,
            "roles": ["client"],
            "bio": "",
            "city": "Algiers",
            "country": "DZ",
            "address": "12 rue X",
            "location": {"lat": 36.75, "lng": 3.05},
            "time_zone": "UTC",
            "language": "en",
            "hide_presence": False,
            "photo": None,
            "is_verified": False,
            "pending_email": None,
            "pending_phone_number": None,
            "created_at": "2030-05-15T09:30:00Z",
        }
        session = Session.objects.get()
        assert (session.user_id, session.agent, session.client_address) == (user.pk, "Phone/1", "127.0.0.1")
        assert session.expires_at == at.now + timedelta(days=30)
        claims = verify_access(answer.body["access"])
        assert (claims.user_id, claims.sid, claims.roles) == (user.pk, session.pk, ["client"])
        assert api.with_token(answer.body["access"]).get("/me/").status == 200
        audit = AuditRow.objects.get()
        assert (audit.action, audit.reference) == ("accounts.registered", f"user:{user.pk}")

    @pytest.mark.usefixtures("real_passwords")
    def test_keeps_the_password_as_an_argon2id_hash(self, api: Api, at: Moment) -> None:
        api.post("/auth/register/", form())
        encoded = User.objects.get().password
        assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
        assert check_password(PASSWORD, encoded)

    def test_takes_an_assistant_with_vehicle_and_licence(self, api: Api, at: Moment) -> None:
        answer = api.post("/auth/register/", form(roles=["assistant", "client"], **ASSISTANT_FIELDS))
        assert answer.status == 201
        assert answer.body["user"]["roles"] == ["client", "assistant"]
        profile = AssistantProfile.objects.values().get()
        assert profile == {
            "user_id": answer.body["user"]["id"],
            "service_type": "towing",
            "vehicle_type": "Renault tow truck",
            "vehicle_class": "heavy",
            "licence_category": "c",
            "licence_number": "DZ-2210457",
            "licence_expires_on": at.now.date().replace(year=2031, month=6, day=30),
            "vehicle_registration_number": "00123-116-16",
            "updated_at": at.now,
        }

    def test_tells_who_keeps_copies_of_assistants(self, api: Api, at: Moment, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[int] = []
        monkeypatch.setattr(ASSISTANT_CHANGED, "_answers", {"test": lambda *, user_id, now: told.append(user_id)})
        answer = api.post("/auth/register/", form(roles=["assistant"], **ASSISTANT_FIELDS))
        api.post("/auth/register/", form(email="other@example.org"))
        assert told == [answer.body["user"]["id"]]

    def test_takes_a_light_vehicle_for_granted_and_a_number_as_registration(self, api: Api, at: Moment) -> None:
        fields = {**ASSISTANT_FIELDS, "vehicle_class": None, "vehicle_registration_number": 1234511616}
        assert api.post("/auth/register/", form(roles=["assistant"], **fields)).status == 201
        profile = AssistantProfile.objects.get()
        assert (profile.vehicle_class, profile.vehicle_registration_number) == ("light", "1234511616")

    @pytest.mark.parametrize(
        ("fields", "kept"),
        [
            ({"name": "محمد بن سلمان"}, ("محمد بن سلمان", "محمد", "بن سلمان")),
            (
                {"name": "\U0001f600\u200d\U0001f525 x"},
                ("\U0001f600\u200d\U0001f525 x", "\U0001f600\u200d\U0001f525", "x"),
            ),
            ({"name": "ش" * 150}, ("ش" * 150, "ش" * 150, "")),
            ({"name": "  Amel \n Haddad "}, ("Amel Haddad", "Amel", "Haddad")),
            ({"name": None, "first_name": "Amel", "last_name": "Haddad"}, ("Amel Haddad", "Amel", "Haddad")),
            ({"name": None, "first_name": "太郎", "last_name": "山田"}, ("山田太郎", "太郎", "山田")),
            (
                {"name": "Dr. A. Haddad", "first_name": "Amel", "last_name": "Haddad"},
                ("Dr. A. Haddad", "Amel", "Haddad"),
            ),
        ],
    )
    def test_keeps_all_three_names(
        self, api: Api, at: Moment, fields: dict[str, Any], kept: tuple[str, str, str]
    ) -> None:
        answer = api.post("/auth/register/", form(**fields))
        assert answer.status == 201
        assert tuple(answer.body["user"][name] for name in ("name", "first_name", "last_name")) == kept

    @pytest.mark.parametrize("written", ["0550 12 34 56", "+213550123456", "00213550123456", "+213 (0) 550 123 456"])
    def test_takes_a_phone_number_instead_of_an_address(self, api: Api, at: Moment, written: str) -> None:
        answer = api.post("/auth/register/", form(email=None, phone_number=written))
        assert answer.status == 201
        assert (answer.body["user"]["email"], answer.body["user"]["phone_number"]) == (None, "+213550123456")

    def test_makes_another_username_when_the_first_is_taken(self, api: Api, at: Moment) -> None:
        names = {
            api.post("/auth/register/", form(email=f"a{number}@example.org")).body["user"]["username"]
            for number in range(3)
        }
        assert len(names) == 3
        assert "amel-haddad" in names
        assert all(name.startswith("amel-haddad") for name in names)

    @pytest.mark.parametrize(
        "password",
        [
            "x7 kw2 qp",
            " leading and trailing ",
            "пароль-никому",
            "كلمة سر طويلة",
            "\U0001f600" * 8,
            "a9" * 64,
            "p" * 71 + "1é",
        ],
    )
    def test_takes_any_long_password_whole(self, api: Api, at: Moment, password: str) -> None:
        assert api.post("/auth/register/", form(password=password)).status == 201
        sign_in = {"identifier": "amel@example.org"}
        assert api.post("/auth/login/", {**sign_in, "password": password}).status == 200
        assert api.post("/auth/login/", {**sign_in, "password": password.strip()[:-1]}).status == 401

    def test_takes_an_accent_for_the_same_however_it_is_typed(self, api: Api, at: Moment) -> None:
        api.post("/auth/register/", form(password="caf\u00e9 au lait"))
        again = {"identifier": "amel@example.org", "password": "cafe\u0301 au lait"}
        assert api.post("/auth/login/", again).status == 200


class TestRegisterRefuses:
    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"email": "AMEL@Example.org"}, "email_taken"),
            ({"email": "new@example.org", "phone_number": "0550123456"}, "phone_taken"),
            ({"email": "new@example.org", "username": "AMEL-haddad"}, "username_taken"),
        ],
    )
    def test_what_another_has(self, api: Api, at: Moment, fields: dict[str, Any], code: str) -> None:
        api.post("/auth/register/", form(phone_number="+213550123456"))
        before = everything()
        answer = api.post("/auth/register/", form(**fields))
        assert (answer.status, answer.code) == (409, code)
        assert everything() == before

    def test_does_not_mind_a_number_that_signs_nobody_in(self, api: Api, member: Callable[..., Member]) -> None:
        member(phone_number="+213550123456", phone_signs_in=False)
        assert api.post("/auth/register/", form(phone_number="+213550123456")).status == 201

    @pytest.mark.parametrize(
        ("fields", "wrong"),
        [
            ({"name": None}, {"body.name": "missing"}),
            ({"name": None, "first_name": "Amel"}, {"body.last_name": "missing"}),
            ({"name": None, "last_name": "Haddad"}, {"body.first_name": "missing"}),
            ({"email": None}, {"body.email": "missing"}),
            ({"name": " "}, {"body.name": "string_too_short"}),
            ({"name": "x" * 151}, {"body.name": "string_too_long"}),
            ({"name": None, "first_name": "x" * 100, "last_name": "y" * 100}, {"body.last_name": "string_too_long"}),
            ({"name": "a\0b"}, {"body.name": "value_error"}),
            ({"email": "nobody"}, {"body.email": "value_error"}),
            ({"email": "a" * 250 + "@example.org"}, {"body.email": "string_too_long"}),
            ({"phone_number": "12"}, {"body.phone_number": "value_error"}),
            ({"username": "ab"}, {"body.username": "string_too_short"}),
            ({"username": "0550123456"}, {"body.username": "string_pattern_mismatch"}),
            ({"username": "a@b.c"}, {"body.username": "string_pattern_mismatch"}),
            ({"username": "\u0430mel"}, {"body.username": "string_pattern_mismatch"}),
            ({"password": "x7kw2qp"}, {"body.password": "string_too_short"}),
            ({"password": "x" * 129}, {"body.password": "string_too_long"}),
            ({"password": "a\0bcdefgh"}, {"body.password": "value_error"}),
            ({"password": "password123"}, {"body.password": "validation_failed"}),
            ({"country": "ZZ"}, {"body.country": "value_error"}),
            ({"location": {"lat": 91, "lng": 0}}, {"body.location.lat": "less_than_equal"}),
            ({"location": {"lat": 1, "lng": 2, "alt": 3}}, {"body.location.alt": "unknown_field"}),
            ({"roles": []}, {"body.roles": "too_short"}),
            ({"roles": ["client", "client"]}, {"body.roles": "value_error"}),
            ({"roles": ["admin"]}, {"body.roles.0": "enum"}),
            ({"roles": ["client", "admin"]}, {"body.roles.1": "enum"}),
        ],
    )
    def test_what_is_not_valid(self, api: Api, at: Moment, fields: dict[str, Any], wrong: dict[str, str]) -> None:
        before = everything()
        answer = api.post("/auth/register/", form(**fields))
        assert (answer.status, answer.fields) == (422, wrong)
        assert everything() == before

    @pytest.mark.parametrize(
        "name",
        "id is_active is_verified is_staff is_superuser role user_type version created_at phone_signs_in bio language "
        "time_zone balance password_confirm confirm_password user_id lat lng licence_category isVerified".split(),
    )
    def test_fields_that_are_not_theirs_to_set(self, api: Api, at: Moment, name: str) -> None:
        before = everything()
        answer = api.post("/auth/register/", {**form(), name: 1})
        assert (answer.status, answer.fields) == (422, {f"body.{name}": "unknown_field"})
        assert everything() == before

    @pytest.mark.parametrize(
        "left_out", ["service_type", "vehicle_type", "driving_license", "vehicle_registration_number"]
    )
    def test_an_assistant_without_one_of_the_fields(self, api: Api, at: Moment, left_out: str) -> None:
        before = everything()
        answer = api.post("/auth/register/", form(roles=["assistant"], **{**ASSISTANT_FIELDS, left_out: None}))
        assert (answer.status, answer.fields) == (422, {f"body.{left_out}": "missing"})
        assert everything() == before

    def test_an_assistant_with_none_of_the_fields(self, api: Api, at: Moment) -> None:
        answer = api.post("/auth/register/", form(roles=["assistant"]))
        assert answer.fields == {f"body.{name}": "missing" for name in ASSISTANT_FIELDS if name != "vehicle_class"}

    @pytest.mark.parametrize("name", ASSISTANT_FIELDS)
    def test_an_assistants_field_from_others(self, api: Api, at: Moment, name: str) -> None:
        before = everything()
        answer = api.post("/auth/register/", form(**{name: ASSISTANT_FIELDS[name]}))
        assert (answer.status, answer.fields) == (422, {f"body.{name}": "unknown_field"})
        assert everything() == before

    @pytest.mark.parametrize("expires_on", ["2030-05-15", "2030-05-14", "1999-01-01"])
    def test_a_licence_that_has_run_out(self, api: Api, at: Moment, expires_on: str) -> None:
        before = everything()
        licence = {**ASSISTANT_FIELDS["driving_license"], "expires_on": expires_on}
        answer = api.post(
            "/auth/register/", form(roles=["assistant"], **{**ASSISTANT_FIELDS, "driving_license": licence})
        )
        assert (answer.status, list(answer.fields)) == (422, ["body.driving_license.expires_on"])
        assert everything() == before

    @pytest.mark.parametrize(
        ("fields", "wrong"),
        [
            (
                {"driving_license": {"category": "d", "number": "1", "expires_on": "2031-01-01"}},
                "driving_license.category",
            ),
            (
                {"driving_license": {"category": "b", "number": "1", "expires_on": "01:01:31"}},
                "driving_license.expires_on",
            ),
            ({"driving_license": None}, "driving_license"),
            ({"service_type": "flying"}, "service_type"),
            ({"service_type": None}, "service_type"),
            ({"vehicle_class": "huge"}, "vehicle_class"),
            ({"vehicle_type": ""}, "vehicle_type"),
            ({"vehicle_registration_number": True}, "vehicle_registration_number"),
            ({"vehicle_registration_number": 10**21}, "vehicle_registration_number"),
        ],
    )
    def test_what_an_assistant_cannot_show(self, api: Api, at: Moment, fields: dict[str, Any], wrong: str) -> None:
        before = everything()
        answer = api.post("/auth/register/", {**form(roles=["assistant"]), **ASSISTANT_FIELDS, **fields})
        assert (answer.status, list(answer.fields)) == (422, [f"body.{wrong}"])
        assert everything() == before


class TestForms:
    @pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", MULTIPART_CONTENT])
    def test_make_nobody_more_than_they_are(
        self, api: Api, at: Moment, member: Callable[..., Member], kind: str
    ) -> None:
        """Mass assignment by bodies that are no JSON. Seen red when a form was read where JSON is wanted."""
        me = api.as_(member(email="me@example.org"))
        more = {"roles": "admin", "role": "admin", "is_staff": "true", "is_superuser": "1", "is_verified": "true"}
        before = everything()
        for who, method, path, fields in (
            (api, "POST", "/auth/register/", form(roles="client")),
            (me, "PATCH", "/me/", {"city": "Oran"}),
            (me, "PUT", "/me/", {"name": "Amel", "email": "me@example.org"}),
            (me, "POST", "/me/roles/", {}),
        ):
            sent = {**fields, **more}
            body = encode_multipart(BOUNDARY, sent) if kind == MULTIPART_CONTENT else urlencode(sent).encode()
            answer = who.raw(method, path, body, kind)
            assert (answer.status, answer.code) == (415, "unsupported_media_type"), path
        assert everything() == before
