"""A new e-mail address or phone number: pending until its owner confirms it, and nobody learns who has it (A7, A10)."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import NOTHING_PENDING, Code, Session, User
from backend.accounts.services import forgetting
from backend.accounts.services.passwords import hash_password
from backend.core.environment import environment
from tests.backend.accounts.strangers import from_address
from tests.backend.accounts.support import PASSWORD, everything
from tests.backend.accounts.test_codes import NEW, Phones, ask, code_in, link_in, phones, press, wrong
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

__all__ = ["phones"]
MakeMember = Callable[..., Member]
OLD, WANTED = "amel@example.org", "New@example.org"
OLD_PHONE, WANTED_PHONE = "+213550123456", "+213551999999"


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    """Here, that is on the network that tests ask from, and with both contacts proved."""
    proved = {"email_verified_at": at.now, "phone_verified_at": at.now, "is_verified": True}
    amel = member(email=OLD, phone_number=OLD_PHONE, password=hash_password(PASSWORD), **proved)
    Session.objects.update(client_address="127.0.0.1")
    return amel


def want(api: Api, who: Member, **changes: str | None) -> Answer:
    """Change it, and let the jobs run that send what there is to send."""
    answer = api.as_(who).patch("/me/", changes)
    run_jobs()
    return answer


def verify(api: Api, code: str, *, email: str = WANTED) -> Answer:
    return api.post("/auth/email/verify/", {"email": email, "code": code})


def contacts(who: Member) -> tuple[str | None, str | None, str | None, str | None, bool]:
    row = User.objects.get(pk=who.id)
    return row.email, row.pending_email, row.phone_number, row.pending_phone_number, row.is_verified


class TestWanted:
    def test_is_shown_to_its_owner_while_the_present_one_serves(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage], phones: Phones
    ) -> None:
        answer = want(api, amel, email=WANTED, phone_number="0551 99 99 99")
        assert answer.status == 200
        shown = ("email", "pending_email", "phone_number", "pending_phone_number", "is_verified")
        assert tuple(answer.body[name] for name in shown) == (OLD, WANTED, OLD_PHONE, WANTED_PHONE, True)
        assert contacts(amel) == (OLD, WANTED, OLD_PHONE, WANTED_PHONE, True)
        assert User.objects.get(pk=amel.id).email_verified_at == at.now
        assert [(mail.to, mail.subject) for mail in mailoutbox] == [([WANTED], "Confirm your e-mail address")]
        assert [to for to, _ in phones.texts] == [WANTED_PHONE]
        assert api.post("/auth/login/", {"identifier": OLD, "password": PASSWORD}).status == 200

    def test_signs_nobody_in_and_recovers_nothing(
        self, api: Api, amel: Member, phones: Phones, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red with a reset that took any address of the account."""
        want(api, amel, email=WANTED, phone_number=WANTED_PHONE)
        sent = len(mailoutbox), len(phones.texts)
        for by in ({"email": WANTED}, {"phone_number": WANTED_PHONE}):
            identifier = next(iter(by.values()))
            assert api.post("/auth/login/", {"identifier": identifier, "password": PASSWORD}).status == 401
            assert ask(api, "/auth/password/reset/", **by).status == 202
        assert (len(mailoutbox), len(phones.texts)) == sent
        body = {"email": WANTED, "code": code_in(mailoutbox[0]), "new_password": NEW}
        assert api.post("/auth/password/reset/confirm/", body).code == "invalid_code"
        assert api.get("/auth/availability/", email=WANTED).body == {"is_available": True}
        # Nor with a code from the time when it was the present one.
        ask(api, "/auth/password/reset/", email=OLD)
        User.objects.filter(pk=amel.id).update(email="later@example.org", pending_email=OLD)
        body = {"email": OLD, "code": code_in(mailoutbox[-1]), "new_password": NEW}
        assert api.post("/auth/password/reset/confirm/", body).code == "invalid_code"

    def test_is_replaced_by_the_next_and_withdrawn_by_the_present_one(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red with a code that was good for what is not wanted any more."""
        want(api, amel, email="first@example.org")
        at.forward(seconds=1)
        assert want(api, amel, email=WANTED).body["pending_email"] == WANTED
        first, second = map(code_in, mailoutbox)
        assert verify(api, first, email="first@example.org").code == "invalid_code"
        at.forward(minutes=8)
        # It takes no proof to leave all as it is.
        assert want(api, amel, email=OLD, phone_number=OLD_PHONE).body["pending_email"] is None
        assert User.objects.filter(pk=amel.id, **NOTHING_PENDING).exists()
        assert verify(api, second).code == "invalid_code"
        assert contacts(amel) == (OLD, None, OLD_PHONE, None, True)

    def test_goes_with_the_present_one_that_is_removed(self, api: Api, amel: Member) -> None:
        want(api, amel, email=WANTED)
        assert want(api, amel, email=None).status == 200
        assert contacts(amel) == (None, None, OLD_PHONE, None, False)
        refused = want(api, amel, email=WANTED, phone_number=None)
        assert (refused.status, list(refused.fields)) == (422, ["body.email"])

    @pytest.mark.parametrize("how", ["changed", "reset"])
    def test_does_not_outlive_the_password(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage], how: str
    ) -> None:
        """Who knew it may wait with an address of their own. Seen red without."""
        want(api, amel, email=WANTED)
        theirs = link_in(mailoutbox[-1])
        if how == "changed":
            body = {"password": PASSWORD, "new_password": NEW}
            assert api.as_(amel).post("/auth/password/change/", body).status == 204
        else:
            ask(api, "/auth/password/reset/", email=OLD)
            body = {"email": OLD, "code": code_in(mailoutbox[-1]), "new_password": NEW}
            assert api.post("/auth/password/reset/confirm/", body).status == 204
        assert User.objects.filter(pk=amel.id, **NOTHING_PENDING).exists()
        assert press(api, theirs).status == 422

    def test_is_forgotten_after_a_week(self, amel: Member, at: Moment) -> None:
        User.objects.filter(pk=amel.id).update(pending_email=WANTED, pending_since=at.now)
        forgetting.forget(now=at.now + timedelta(days=7))
        assert contacts(amel)[1] == WANTED
        forgetting.forget(now=at.now + timedelta(days=7, microseconds=1))
        assert (contacts(amel)[1], User.objects.get(pk=amel.id).version) == (None, 2)


class TestConfirmed:
    @pytest.mark.parametrize("by", ["code", "token", "link"])
    def test_takes_the_place_of_the_present_one(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage], by: str
    ) -> None:
        want(api, amel, email=WANTED)
        at.forward(minutes=9)
        if by == "code":
            assert verify(api, code_in(mailoutbox[0]), email="NEW@example.org").status == 200
        else:
            token = link_in(mailoutbox[0])
            again = [
                press(api, token) if by == "link" else api.post("/auth/email/verify/", {"token": token})
                for _ in range(2)
            ]
            assert [answer.status for answer in again] == [200, 200]
        assert contacts(amel) == (WANTED, None, OLD_PHONE, None, True)
        user = User.objects.get(pk=amel.id)
        assert (user.email_verified_at, user.owns_email, user.pending_since) == (at.now, True, None)
        run_jobs("accounts.send_notice")
        assert [(mail.to, mail.subject) for mail in mailoutbox[1:]] == [([OLD], "Your e-mail address was changed")]

    def test_a_number_does_too_and_leaves_the_pending_address(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage], phones: Phones
    ) -> None:
        want(api, amel, email=WANTED, phone_number=WANTED_PHONE)
        body = {"phone_number": WANTED_PHONE, "code": phones.texts[0][1][:6]}
        assert api.post("/auth/phone/verify/", body).status == 200
        assert contacts(amel) == (OLD, WANTED, WANTED_PHONE, None, True)
        run_jobs("accounts.send_notice")
        assert (mailoutbox[-1].to, mailoutbox[-1].subject) == ([OLD], "Your phone number was changed")

    def test_mends_what_was_mistyped_when_registering(
        self, api: Api, member: MakeMember, mailoutbox: list[EmailMessage]
    ) -> None:
        me = member(email="amle@example.org")
        assert want(api, me, email=WANTED).body["email"] == "amle@example.org"
        assert verify(api, code_in(mailoutbox[-1])).status == 200
        assert contacts(me)[:2] == (WANTED, None)

    def test_from_elsewhere_does_not_make_it_the_owners(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        """Whoever has the mailbox may have clicked on what a stranger asked for."""
        want(api, amel, email=WANTED)
        assert press(from_address("198.51.100.7"), link_in(mailoutbox[0])).status == 200
        user = User.objects.get(pk=amel.id)
        assert (user.email, user.owns_email) == (WANTED, False)

    def test_another_code_is_sent_to_who_asks_once_more(
        self, api: Api, amel: Member, member: MakeMember, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """Not signed in only while one account wants it: else it could be a stranger's that is confirmed."""
        want(api, amel, email=WANTED)
        at.forward(minutes=11)
        ask(api, email=WANTED)
        assert len(mailoutbox) == 2
        other = member(email="other@example.org")
        want(api, other, email=WANTED)
        at.forward(seconds=1)
        ask(api, email=WANTED)
        assert len(mailoutbox) == 3
        assert verify(api, code_in(mailoutbox[1])).status == 422  # replaced by the one that nobody got
        assert verify(api, code_in(mailoutbox[2])).status == 200
        assert (contacts(other)[0], contacts(amel)[:2]) == (WANTED, (OLD, WANTED))

    def test_a_wrong_code_is_a_try_of_everybody_who_wants_it(
        self, api: Api, amel: Member, member: MakeMember, mailoutbox: list[EmailMessage]
    ) -> None:
        """A5: many accounts are not many tries. Seen red when only the newest code's tries were counted."""
        want(api, amel, email=WANTED)
        want(api, member(), email=WANTED)
        codes = set(map(code_in, mailoutbox))
        guess = next(one for one in (f"{number:06}" for number in range(9)) if one not in codes)
        assert [verify(api, guess).status for _ in range(5)] == [422] * 5
        assert sorted(Code.objects.values_list("tries", flat=True)) == [5, 5]
        assert [verify(api, code).status for code in codes] == [422] * len(codes)
        assert contacts(amel)[0] == OLD


class TestTaken:
    @pytest.fixture
    def holder(self, member: MakeMember) -> Member:
        return member(email="Taken@example.org", phone_number="+213550000009", language="fr")

    def test_is_told_to_the_owner_of_the_address_alone(
        self, api: Api, amel: Member, holder: Member, mailoutbox: list[EmailMessage], phones: Phones
    ) -> None:
        assert want(api, amel, email="taken@example.org", phone_number="+213550000009").status == 200
        ((mail),) = mailoutbox
        assert (mail.to, mail.subject) == (["Taken@example.org"], "Cette adresse appartient déjà à un compte")
        ((to, text),) = phones.texts
        assert to == "+213550000009"
        assert "a voulu utiliser ce numéro pour un autre compte Callout. Il appartient déjà à un compte" in text
        assert not [said for said in (str(mail.body), text) if re.search(r"\b[0-9]{6}\b|token=", said)]
        assert not Code.objects.exclude(digest=None).exists()
        # Nor does asking once more, by anybody.
        User.objects.filter(pk=holder.id).update(email_verified_at=amel.user.created_at)
        ask(api, email="taken@example.org")
        assert len(mailoutbox) == 1

    @pytest.mark.parametrize("changes", [{"email": "taken@example.org"}, {"phone_number": "+213550000009"}])
    def test_and_free_are_answered_alike_and_cost_the_same(
        self, api: Api, amel: Member, holder: Member, changes: dict[str, str]
    ) -> None:
        """A7, to the byte and by the statements. Seen red when the address was looked for in the request."""
        seen = []
        mine = api.as_(amel).with_headers(X_Request_ID="same")
        for taken in (True, False):
            if not taken:
                User.objects.filter(pk=holder.id).update(email="elsewhere@example.org", phone_number="+213550000008")
            with CaptureQueriesContext(connection) as queries, transaction.atomic():
                answer = mine.patch("/me/", changes)
                transaction.set_rollback(True)
            statements = [re.sub(r"'[^']*'|[0-9]+", "", query["sql"]) for query in queries]
            seen.append((answer.status, answer.body, answer.headers, statements))
        assert seen[0] == seen[1]
        assert seen[0][0] == 200

    @pytest.mark.parametrize("by", ["code", "token", "link", "page", "app"])
    def test_is_told_to_who_has_just_proved_it_and_nothing_changes(
        self, api: Api, amel: Member, member: MakeMember, mailoutbox: list[EmailMessage], by: str
    ) -> None:
        """When somebody took it since the code was sent. Seen red with a 500, and with the code used up."""
        want(api, amel, email=WANTED)
        code, token = code_in(mailoutbox[0]), link_in(mailoutbox[0])
        member(email=WANTED.upper())
        before = everything(), list(Code.objects.values())
        json = api.with_headers(Accept="application/json")
        browser = api.with_headers(Accept="text/html", Accept_Language="ru")
        act: dict[str, Callable[[], Answer]] = {
            "code": lambda: verify(api, code),
            "token": lambda: api.post("/auth/email/verify/", {"token": token}),
            "link": lambda: press(api, token),
            "page": lambda: press(browser, token),
            "app": lambda: json.get("/auth/email/verify/", token=token),
        }
        answer = act[by]()
        assert answer.status == 409
        if by == "page":
            assert "Этот адрес уже принадлежит учётной записи" in answer.body.decode()
        else:
            assert answer.code == "email_taken"
        assert (everything(), list(Code.objects.values())) == before
        assert verify(api, wrong(code)).code == "invalid_code"


class TestLimits:
    def test_five_a_day_for_an_account_whatever_becomes_of_them(self, api: Api, amel: Member, limits_on: None) -> None:
        """L7. Seen red without the limit, and when only changes that were made counted."""
        mine = api.as_(amel)
        assert mine.patch("/me/", {"email": "x@example.org", "country": "FR", "username": "Ω"}).status == 422
        unmatched = mine.with_headers(If_Match='"7"').patch("/me/", {"email": "x@example.org"})
        assert unmatched.status == 412
        assert [mine.patch("/me/", {"email": f"n{turn}@example.org"}).status for turn in range(4)] == [200] * 4
        before = everything()
        refused = mine.patch("/me/", {"phone_number": WANTED_PHONE})
        assert (refused.status, "Retry-After" in refused.headers) == (429, True)
        assert everything() == before
        assert mine.patch("/me/", {"city": "Oran", "email": OLD}).status == 200

    def test_five_a_day_for_an_address_and_the_sixth_is_not_pending(
        self, api: Api, amel: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed = environment().model_copy(update={"rate_limits": True})
        monkeypatch.setattr("backend.accounts.services.codes.environment", lambda: changed)
        assert [ask(api, email=WANTED).status for _ in range(5)] == [202] * 5
        before = everything()
        assert want(api, amel, email=WANTED).status == 429
        assert everything() == before
