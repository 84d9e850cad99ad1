from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.core.mail import EmailMessage
from pytest_django import DjangoAssertNumQueries

from backend.accounts import selectors
from backend.accounts.models import Invitation, User
from backend.accounts.services import invitations
from backend.core.actor import Actor, Role
from backend.core.environment import environment
from backend.core.errors import Forbidden
from backend.core.models import AuditRow, EventRow
from tests.architecture.authorisation import TABLE
from tests.backend.accounts.support import everything, form
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
Invite = Callable[..., Json]


@pytest.fixture
def invite(api: Api, member: Callable[..., Member], at: Moment) -> Invite:
    """An admin invites somebody: the answer's body."""
    admin = member("admin", email="admin@example.org")

    def ask(**body: Any) -> Json:
        answer = api.as_(admin).post("/admin/invitations/", body)
        assert answer.status == 201
        found: Json = answer.body
        return found

    return ask


def register(api: Api, **fields: Any) -> Answer:
    return api.post("/auth/register/", form(**fields))


def prove_address(user_id: int, at: Moment) -> None:
    """What verifying an e-mail address does."""
    user = User.objects.get(pk=user_id)
    User.objects.filter(pk=user_id).update(email_verified_at=at.now)
    invitations.grant_for_verified_email(user=user, now=at.now)


def roles_of(user_id: int) -> list[str]:
    return User.objects.get(pk=user_id).roles


class TestInviteManager:
    def test_by_token_shows_it_once(
        self,
        api: Api,
        member: Callable[..., Member],
        at: Moment,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        admin = api.as_(member("admin"))
        with django_assert_num_queries(6):  # session; account, invitation, audit; savepoint
            answer = admin.post("/admin/invitations/", {})
        assert answer.status == 201
        body = answer.body
        assert len(body["token"]) == 43
        assert (body["email"], body["accepted_at"]) == (None, None)
        assert Invitation.objects.get().expires_at == at.now + timedelta(days=7)
        kept = bytes(Invitation.objects.get().token_digest or b"")
        assert body["token"].encode() not in kept
        assert AuditRow.objects.values_list("action", "reference", "changes").get() == (
            "accounts.invited",
            f"invitation:{body['id']}",
            {"by": "token"},
        )
        (listed,) = admin.get("/admin/invitations/").body["results"]
        assert listed == {name: value for name, value in body.items() if name != "token"}

    def test_by_address_has_no_token(self, invite: Invite) -> None:
        body = invite(email=" New@example.org ")
        assert (body["email"], body["token"]) == ("New@example.org", None)

    def test_serves_at_once_where_the_address_was_proved_before(
        self, invite: Invite, member: Callable[..., Member], at: Moment
    ) -> None:
        proved = member(email="new@example.org", email_verified_at=at.now)
        assert invite(email="NEW@example.org")["accepted_by_id"] == proved.id
        assert roles_of(proved.id) == ["client", "manager"]

    def test_waits_where_it_was_not(self, invite: Invite, member: Callable[..., Member], at: Moment) -> None:
        unproved = member(email="new@example.org", is_verified=True)
        gone = member(email="gone@example.org", email_verified_at=at.now, is_active=False)
        assert invite(email="new@example.org")["accepted_at"] is None
        assert invite(email="gone@example.org")["accepted_at"] is None
        assert (roles_of(unproved.id), roles_of(gone.id)) == (["client"], ["client"])

    @pytest.mark.parametrize("body", [{"email": "x"}, {"role": "admin"}, {"token": "x"}, {"expires_at": None}])
    def test_refuses_what_is_not_valid(self, api: Api, member: Callable[..., Member], at: Moment, body: Json) -> None:
        admin = member("admin")
        before = everything()
        assert api.as_(admin).post("/admin/invitations/", body).status == 422
        assert (everything(), Invitation.objects.count()) == (before, 0)

    def test_is_for_admins(self, member: Callable[..., Member], at: Moment) -> None:
        manager = member("manager").actor
        with pytest.raises(Forbidden):
            invitations.invite(actor=manager, email=None, now=at.now)
        with pytest.raises(Forbidden):
            invitations.withdraw(actor=manager, invitation_id=1, now=at.now)
        with pytest.raises(Forbidden):
            selectors.list_invitations(manager)
        assert Invitation.objects.count() == 0


class TestMail:
    @pytest.mark.parametrize(
        ("language", "subject"),
        [
            ("en", "You are invited to become a manager"),
            ("fr", "Vous êtes invité(e) à devenir gestionnaire"),
            ("ar", "أنت مدعو لتصبح مديرًا"),
            ("ru", "Вас приглашают стать менеджером"),  # noqa: RUF001
            ("es", "Te invitan a formar parte de la gestión"),
        ],
    )
    def test_goes_to_the_invited_address_in_the_language_of_who_invites(
        self, invite: Invite, at: Moment, mailoutbox: list[EmailMessage], language: str, subject: str
    ) -> None:
        User.objects.update(language=language, name="Ada <b>Admin</b>")
        body = invite(email="New@example.org")
        run_jobs()
        (mail,) = mailoutbox
        assert (mail.to, mail.subject) == (["New@example.org"], subject)
        html = str(mail.alternatives[0][0])  # type: ignore[attr-defined]
        for text in (str(mail.body), html):
            assert "New@example.org" in text
            assert "2030" in text
        assert "<b>" not in html
        assert "://" not in str(mail.body)  # no address is set up that it could name
        assert body["token"] is None

    def test_speaks_the_language_of_the_account_that_has_the_address(
        self, invite: Invite, member: Callable[..., Member], at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        member(email="new@example.org", language="fr")
        invite(email="NEW@example.org")
        member(email="proved@example.org", language="es", email_verified_at=at.now)
        invite(email="proved@example.org")
        run_jobs()
        assert [mail.subject for mail in mailoutbox] == [
            "Vous êtes invité(e) à devenir gestionnaire",
            "Ya formas parte de la gestión",
        ]

    def test_names_the_app_where_it_is_set_up(
        self, invite: Invite, monkeypatch: pytest.MonkeyPatch, mailoutbox: list[EmailMessage]
    ) -> None:
        changed = environment().model_copy(update={"app_url": "https://app.example.org"})
        monkeypatch.setattr(invitations, "environment", lambda: changed)
        invite(email="new@example.org")
        run_jobs()
        assert "\nhttps://app.example.org\n" in str(mailoutbox[0].body)
        assert 'href="https://app.example.org"' in str(mailoutbox[0].alternatives[0][0])  # type: ignore[attr-defined]

    def test_is_not_sent_for_a_token_nor_once_it_was_withdrawn(
        self, api: Api, invite: Invite, mailoutbox: list[EmailMessage], at: Moment
    ) -> None:
        invite()
        withdrawn = invite(email="new@example.org")
        invite(email="late@example.org")
        invitations.withdraw(
            actor=Actor(id=1, roles=frozenset({Role.ADMIN}), session_id=0), invitation_id=withdrawn["id"], now=at.now
        )
        at.forward(days=7)
        run_jobs()
        assert mailoutbox == []


class TestRegisteringWithAToken:
    def test_makes_a_manager_once(
        self, api: Api, invite: Invite, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        token = invite()["token"]
        with django_assert_num_queries(11):  # one more than without
            answer = register(api, roles=["manager"], invitation=token)
        assert (answer.status, answer.body["user"]["roles"]) == (201, ["manager"])
        assert Invitation.objects.values_list("accepted_at", "accepted_by").get() == (
            at.now,
            answer.body["user"]["id"],
        )
        again = register(api, email="second@example.org", roles=["client"], invitation=token)
        assert (again.status, again.fields) == (422, {"body.invitation": "validation_failed"})
        assert not User.objects.filter(email="second@example.org").exists()

    def test_needs_not_name_the_role(self, api: Api, invite: Invite) -> None:
        answer = register(api, invitation=invite()["token"])
        assert answer.body["user"]["roles"] == ["client", "manager"]

    def test_is_not_used_up_by_a_registration_that_fails(self, api: Api, invite: Invite) -> None:
        token = invite()["token"]
        assert register(api, email="admin@example.org", invitation=token).code == "email_taken"
        assert register(api, roles=["manager"], invitation=token).status == 201

    def test_refuses_one_that_has_run_out(self, api: Api, invite: Invite, at: Moment) -> None:
        token = invite()["token"]
        at.forward(days=7)
        before = everything()
        assert register(api, roles=["manager"], invitation=token).fields == {"body.invitation": "validation_failed"}
        assert everything() == before

    def test_refuses_what_is_no_token(self, api: Api, invite: Invite) -> None:
        invite(email="amel@example.org")
        invite()
        before = everything()
        for token in ("x", "None", "1", " "):
            assert register(api, roles=["manager"], invitation=token).status == 422
        assert everything() == before

    def test_never_makes_an_admin(self, api: Api, invite: Invite) -> None:
        token = invite()["token"]
        before = everything()
        assert register(api, roles=["admin"], invitation=token).fields == {"body.roles.0": "enum"}
        assert everything() == before


class TestRegisteringWithAnInvitedAddress:
    def test_begins_the_role_when_the_address_is_proved(self, api: Api, invite: Invite, at: Moment) -> None:
        invite(email="Amel@Example.org")
        answer = register(api, roles=["manager"])
        assert (answer.status, answer.body["user"]["roles"]) == (201, ["client"])
        me = answer.body["user"]["id"]
        assert api.with_token(answer.body["access"]).get("/admin/invitations/").status == 403
        EventRow.objects.all().delete()
        prove_address(me, at)
        assert roles_of(me) == ["client", "manager"]
        assert EventRow.objects.values_list("type", "room").get() == ("access.changed", f"user:{me}")
        assert Invitation.objects.values_list("accepted_at", "accepted_by").get() == (at.now, me)

    def test_keeps_the_other_roles(self, api: Api, invite: Invite, at: Moment) -> None:
        invite(email="amel@example.org")
        me = register(api, roles=["manager", "crew"]).body["user"]["id"]
        assert roles_of(me) == ["crew"]
        prove_address(me, at)
        assert roles_of(me) == ["crew", "manager"]

    def test_gives_nothing_for_another_address_or_too_late(self, api: Api, invite: Invite, at: Moment) -> None:
        invite(email="amel@example.org")
        other = register(api, email="other@example.org").body["user"]["id"]
        late = register(api).body["user"]["id"]
        prove_address(other, at)
        at.forward(days=7)
        prove_address(late, at)
        assert (roles_of(other), roles_of(late)) == (["client"], ["client"])
        assert Invitation.objects.get().accepted_at is None

    def test_without_one_nobody_registers_as_a_manager(self, api: Api, invite: Invite) -> None:
        invite(email="somebody@example.org")
        before = everything()
        answers = [
            register(api, roles=["manager"]),
            register(api, roles=["client", "manager"]),
            register(api, roles=["manager"], email=None, phone_number="+213550123456"),
        ]
        assert {(answer.status, answer.code) for answer in answers} == {(403, "forbidden")}
        assert everything() == before


class TestWithdrawInvitation:
    def test_ends_it(self, api: Api, member: Callable[..., Member], at: Moment, invite: Invite) -> None:
        admin, body = api.as_(member("admin")), invite()
        assert admin.delete(f"/admin/invitations/{body['id']}/").status == 204
        assert register(api, roles=["manager"], invitation=body["token"]).status == 422
        assert AuditRow.objects.latest("id").action == "accounts.invitation_withdrawn"
        assert admin.delete(f"/admin/invitations/{body['id']}/").status == 404

    def test_refuses_once_it_was_accepted(
        self, api: Api, member: Callable[..., Member], at: Moment, invite: Invite
    ) -> None:
        admin, body = api.as_(member("admin")), invite()
        register(api, invitation=body["token"])
        answer = admin.delete(f"/admin/invitations/{body['id']}/")
        assert (answer.status, answer.code) == (409, "invalid_state")
        assert Invitation.objects.count() == 1


class TestListInvitations:
    def test_shows_the_newest_first(
        self, api: Api, member: Callable[..., Member], invite: Invite, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        ids = [invite(email=f"m{number}@example.org")["id"] for number in range(3)]
        admin = api.as_(member("admin"))
        with django_assert_num_queries(3):  # session, count, page
            answer = admin.get("/admin/invitations/", page_size=2)
        assert (answer.body["count"], [row["id"] for row in answer.body["results"]]) == (3, ids[:0:-1])


class TestNobodyMakesThemselvesAManager:
    """Z6: whatever a stranger writes, there are as many managers and admins as before."""

    CLAIMS: tuple[Json, ...] = (
        {"roles": ["manager"]},
        {"roles": ["admin"]},
        {"roles": ["client", "admin"]},
        {"roles": ["MANAGER"]},
        {"roles": "manager"},
        {"roles": {"admin": True}},
        {"role": "admin"},
        {"user_type": "management"},
        {"is_staff": True},
        {"is_superuser": True},
        {"is_verified": True},
        {"email_verified_at": "2030-01-01T00:00:00Z"},
        {"invitation": ""},
        {"invitation": "guess"},
        {"invitation": None},
        {"invitation": True},
        {"invitation": ["x"]},
        {"invitation": {"token": "x"}},
        {"invitation_id": 1},
    )

    def test_by_any_public_write(self, api: Api, invite: Invite) -> None:
        invite()
        invite(email="invited@example.org")
        public = [rule for rule in TABLE.values() if rule.anonymous != 401 or rule.path.startswith("/auth/")]
        writes = [rule for rule in public if rule.method != "GET" and isinstance(rule.body, dict)]
        assert {rule.path for rule in writes} >= {"/auth/register/", "/auth/login/", "/auth/login/google/"}
        staff = sorted(self.staff())
        for number, (rule, claims) in enumerate(product(writes, [*self.CLAIMS, *map(self.whole, self.CLAIMS)])):
            body = {**rule.body, **claims}
            if "email" in body:
                body["email"] = "invited@example.org" if number % 2 else f"s{number}@example.org"
            answer = api._send(rule.method, rule.path, body)
            assert answer.status < 500, (rule.path, claims)
            if answer.status == 201 and isinstance(answer.body, dict):
                mine = api.with_token(answer.body["access"])
                assert mine.post("/me/roles/", {"role": "manager"}).status == 422
                assert mine.patch("/me/", claims).status == 422
                assert mine.get("/admin/invitations/").status == 403
        assert sorted(self.staff()) == staff

    @staticmethod
    def whole(claims: Json) -> Json:
        return {**claims, "roles": ["manager", "client"]}

    @staticmethod
    def staff() -> list[int]:
        return list(User.objects.filter(roles__overlap=["manager", "admin"]).values_list("pk", flat=True))
