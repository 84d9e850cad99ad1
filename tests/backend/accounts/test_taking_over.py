"""Who proves an address for the first time has the account for themselves (RELIABILITY.md A9)."""

from collections.abc import Callable

import pyotp
import pytest
from django.core.mail import EmailMessage

from backend.accounts.models import Code, CodePurpose, ExternalIdentity, SecondFactor, User
from backend.accounts.services.passwords import hash_password
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.models import AuditRow
from backend.scheduling.models import Policy
from backend.scheduling.rules import Terms
from backend.scheduling.services import links
from backend.scheduling.services.hours import set_terms
from tests.backend.accounts.strangers import from_address
from tests.backend.accounts.support import PASSWORD, form
from tests.backend.accounts.test_codes import EMAIL, NEW, Phones, ask, code_in, link_in, phones, press
from tests.backend.accounts.test_openid import Issuer, claims, issuer, sign_in, token
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

__all__ = ["issuer", "phones"]
MakeMember = Callable[..., Member]
STRANGERS = "+213550000666"


def reset(api: Api, code: str, **address: str) -> int:
    return api.post("/auth/password/reset/confirm/", {**address, "code": code, "new_password": NEW}).status


class TestResetByANewAddress:
    def test_shuts_out_who_prepared_the_account(
        self, api: Api, issuer: Issuer, phones: Phones, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """A9, by the mail's door. Seen red when a reset ended the sessions alone."""
        google = token(claims(at, sub="stranger", email="stranger@example.org"))
        first = sign_in(api, google).body
        user_id = first["user"]["id"]
        stranger = api.with_token(first["access"])
        contacts = {"email": EMAIL, "email_verified_at": None, "phone_number": STRANGERS, "phone_verified_at": at.now}
        User.objects.filter(pk=user_id).update(**contacts)
        secret = stranger.post("/auth/two-factor/", {}).body["secret"]
        assert stranger.post("/auth/two-factor/confirm/", {"otp": pyotp.TOTP(secret).at(at.now)}).status == 204
        actor = Actor(id=user_id, roles=frozenset({"client"}), session_id=1)
        feed = links.token_of(links.link_of(actor=actor, now=at.now))
        set_terms(actor=actor, terms=Terms(notify_emails=["stranger@example.org"]), now=at.now)

        ask(api, "/auth/password/reset/", email=EMAIL)
        assert reset(api, code_in(mailoutbox[-1]), email=EMAIL) == 204

        assert stranger.get("/me/").code == "invalid_token"
        assert api.post("/auth/token/refresh/", {"refresh": first["refresh"]}).status == 401
        assert (ExternalIdentity.objects.count(), SecondFactor.objects.count()) == (0, 0)
        assert sign_in(api, google).body["user"]["id"] != user_id
        ask(api, "/auth/password/reset/", phone_number=STRANGERS)
        assert Code.objects.get(purpose=CodePurpose.RESET_PASSWORD, address=STRANGERS).digest is None
        with pytest.raises(NotFound):
            links.owner_of(feed)
        assert Policy.objects.get(provider_id=user_id).notify_emails == []
        assert AuditRow.objects.filter(action="accounts.taken_over", reference=f"user:{user_id}").count() == 1
        mine = api.post("/auth/login/", {"identifier": EMAIL, "password": NEW})
        assert (mine.status, mine.body["user"]["id"], mine.body["user"]["phone_number"]) == (200, user_id, None)

    def test_by_phone_drops_the_address_that_nobody_proved(
        self, api: Api, phones: Phones, member: MakeMember, at: Moment
    ) -> None:
        """Seen red when a reset ended the sessions alone."""
        me = member(email="stranger@example.org", phone_number=STRANGERS, password=hash_password(PASSWORD))
        ask(api, "/auth/password/reset/", phone_number=STRANGERS)
        assert reset(api, phones.texts[-1][1][:6], phone_number=STRANGERS) == 204
        user = User.objects.get(pk=me.id)
        assert (user.email, user.phone_number, user.phone_verified_at) == (None, STRANGERS, at.now)

    def test_is_not_offered_to_a_number_beside_a_proved_address(
        self, api: Api, phones: Phones, member: MakeMember, at: Moment
    ) -> None:
        """A mistyped number is a stranger's. Seen red when any number got a code."""
        member(email=EMAIL, email_verified_at=at.now, phone_number=STRANGERS)
        assert ask(api, "/auth/password/reset/", phone_number=STRANGERS).status == 202
        assert phones.texts == []

    def test_leaves_all_in_place_where_the_address_was_proved_before(
        self, api: Api, member: MakeMember, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        me = member(email=EMAIL, email_verified_at=at.now, phone_number=STRANGERS)
        SecondFactor.objects.create(user=me.user, sealed_secret=b"sealed", created_at=at.now)
        ExternalIdentity.objects.create(user=me.user, issuer="https://id.example", subject="me", created_at=at.now)
        ask(api, "/auth/password/reset/", email=EMAIL)
        assert reset(api, code_in(mailoutbox[-1]), email=EMAIL) == 204
        assert User.objects.get(pk=me.id).phone_number == STRANGERS
        assert (ExternalIdentity.objects.count(), SecondFactor.objects.count()) == (1, 1)


class TestClickOnAMailThatNobodyAskedFor:
    """A stranger makes an account with somebody's address, who confirms it from elsewhere."""

    @pytest.fixture
    def stranger(self, api: Api, at: Moment, mailoutbox: list[EmailMessage]) -> Api:
        made = api.post("/auth/register/", form(email=EMAIL, phone_number=STRANGERS)).body
        run_jobs("accounts.send_code")
        stranger = api.with_token(made["access"])
        assert press(from_address("198.51.100.7"), link_in(mailoutbox[-1])).status == 200
        # After the owner's click, which told the stranger nothing.
        secret = stranger.post("/auth/two-factor/", {}).body["secret"]
        assert stranger.post("/auth/two-factor/confirm/", {"otp": pyotp.TOTP(secret).at(at.now)}).status == 204
        user = User.objects.get()
        User.objects.update(phone_verified_at=at.now)
        ExternalIdentity.objects.create(user=user, issuer="https://id.example", subject="stranger", created_at=at.now)
        assert (user.email_verified_at, user.email_proved_apart) == (at.now, True)
        return stranger

    def test_leaves_the_account_to_the_owners_reset_alone(
        self, api: Api, stranger: Api, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red when any proved address counted as the account's owner's: number, second factor and link stayed."""
        ask(api, "/auth/password/reset/", email=EMAIL)
        assert reset(api, code_in(mailoutbox[-1]), email=EMAIL) == 204
        user = User.objects.get()
        assert (user.phone_number, user.owns_email) == (None, True)
        assert (ExternalIdentity.objects.count(), SecondFactor.objects.count()) == (0, 0)
        assert stranger.get("/me/").code == "invalid_token"

    def test_leaves_it_to_the_owners_account_elsewhere(
        self, api: Api, issuer: Issuer, stranger: Api, at: Moment
    ) -> None:
        """A9. Seen red when any proved address was linked to: the stranger's password and second factor stayed."""
        mine = sign_in(api, token(claims(at, sub="owner", email=EMAIL)))
        user = User.objects.get()
        assert (mine.status, mine.body["user"]["id"]) == (200, user.pk)
        assert (user.phone_number, user.has_usable_password(), user.owns_email) == (None, False, True)
        assert list(ExternalIdentity.objects.values_list("subject", flat=True)) == ["owner"]
        assert SecondFactor.objects.count() == 0
        assert stranger.get("/me/").code == "invalid_token"

    def test_makes_no_stranger_a_manager(self, api: Api, member: MakeMember, mailoutbox: list[EmailMessage]) -> None:
        """Seen red when the invited address alone was enough; whoever has account and mail is a manager at once."""
        api.as_(member("admin")).post("/admin/invitations/", {"email": EMAIL})
        api.post("/auth/register/", form(email=EMAIL))
        run_jobs("accounts.send_code")
        assert press(from_address("198.51.100.7"), link_in(mailoutbox[-1])).status == 200
        assert User.objects.get(email=EMAIL).roles == ["client"]
        api.as_(member("admin")).post("/admin/invitations/", {"email": EMAIL})
        assert User.objects.get(email=EMAIL).roles == ["client"]
        ask(api, "/auth/password/reset/", email=EMAIL)
        assert reset(api, code_in(mailoutbox[-1]), email=EMAIL) == 204
        assert "manager" in User.objects.get(email=EMAIL).roles

    def test_from_where_the_account_is_signed_in_is_the_owners(
        self, api: Api, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        api.post("/auth/register/", form(email=EMAIL, phone_number=STRANGERS))
        run_jobs("accounts.send_code")
        assert press(api, link_in(mailoutbox[-1])).status == 200
        ask(api, "/auth/password/reset/", email=EMAIL)
        assert reset(api, code_in(mailoutbox[-1]), email=EMAIL) == 204
        assert (User.objects.get().phone_number, User.objects.get().owns_email) == (STRANGERS, True)
