"""Sign-in with ID tokens: the keys come from a server on this machine, everything else is as in production."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import ExternalIdentity, Invitation, SecondFactor, Session, User
from backend.accounts.services import openid, openid_tokens
from backend.accounts.services.passwords import hash_password
from backend.core.environment import OpenIdProvider, environment
from backend.core.models import AuditRow, EventRow, JobRow
from tests.backend.accounts.support import PASSWORD, form
from tests.backend.accounts.support import everything as tables
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.forgeries import by_hand
from tests.support.people import Member

pytestmark = pytest.mark.django_db

Json = dict[str, Any]

ISSUER, CLIENT = "https://accounts.google.com", "callout.apps.example"
RSA, OTHER_RSA = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, kid: str, **fields: str) -> Json:
    """A key as issuers publish it."""
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    found: Json = json.loads(kind.to_jwk(key.public_key()))
    return {**found, "kid": kid, "use": "sig", **fields}


class Issuer(ThreadingHTTPServer):
    """Publishes its keys, and counts who reads them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys = [
            public(RSA, "rsa"),
            public(EC, "ec"),
            public(WEAK_RSA, "weak"),
            public(OTHER_RSA, "for-encryption", use="enc"),
            {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"x" * 32).decode()},
            {"kty": "RSA", "kid": "broken", "n": "?"},
        ]
        self.reads = 0
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/keys"


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        self.server.reads += 1
        body = json.dumps({"keys": self.server.keys}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def issuer(at: Moment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    server = Issuer()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    google = OpenIdProvider(
        issuers=(ISSUER, "accounts.google.com"), client_ids=(CLIENT, "ios.example"), jwks_url=server.address
    )
    other = OpenIdProvider(issuers=("https://id.example.org",), client_ids=("ours",), jwks_url=server.address)
    settings = environment().model_copy(update={"openid_providers": {"google": google, "example": other}})
    monkeypatch.setattr(openid, "environment", lambda: settings)
    openid_tokens.key_set.cache_clear()
    yield server
    server.shutdown()
    server.server_close()


def claims(at: Moment, **changed: Any) -> Json:
    """What a genuine token says; claims given as None are left out."""
    now = int(at.now.timestamp())
    genuine = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "1099",
        "email": "Amel@example.org",
        "email_verified": True,
        "name": "Amel  Haddad",
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in {**genuine, **changed}.items() if value is not None}


def token(said: Json, *, key: Any = RSA, algorithm: str = "RS256", kid: Any = "rsa", **header: Any) -> str:
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid, **header})


def sign_in(api: Api, given: str, **fields: Any) -> Answer:
    return api.post("/auth/login/google/", {"token": given, **fields})


class TestLoginWithGoogle:
    def test_creates_a_client(
        self, api: Api, issuer: Issuer, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        # found (4), twins; user, audit; identity, audit, proved, invited; session, token; two savepoints
        with django_assert_num_queries(17):
            answer = sign_in(api, token(claims(at)))
        assert answer.status == 200
        user = User.objects.get()
        assert (user.name, user.email, user.roles) == ("Amel Haddad", "Amel@example.org", ["client"])
        assert (user.is_verified, user.email_verified_at, user.has_usable_password()) == (True, at.now, False)
        assert answer.body["user"]["id"] == user.pk
        assert answer.body["user"]["is_verified"] is True
        assert api.with_token(answer.body["access"]).get("/me/").status == 200
        linked = AuditRow.objects.get(action="accounts.identity_linked")
        assert (linked.reference, linked.changes) == (f"user:{user.pk}", {"issuer": ISSUER, "how": "created"})

    def test_knows_them_again_by_issuer_and_subject_alone(
        self, api: Api, issuer: Issuer, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        sign_in(api, token(claims(at)))
        again = claims(at, iss="accounts.google.com", aud="ios.example", email="new@example.org")
        with django_assert_num_queries(8):  # found, twins, found, held, session, token; savepoint
            answer = sign_in(api, token(again, key=EC, algorithm="ES256", kid="ec"))
        assert answer.body["user"]["email"] == "Amel@example.org"
        assert ExternalIdentity.objects.values_list("issuer", "subject").get() == (ISSUER, "1099")
        stranger = sign_in(api, token(claims(at, sub="1100", email="other@example.org")))
        assert stranger.body["user"]["id"] != answer.body["user"]["id"]

    def test_takes_the_name_from_the_address_where_there_is_none(self, api: Api, issuer: Issuer, at: Moment) -> None:
        for number, name in enumerate((None, "", " \0\n ", 7, ["x"])):
            said = claims(at, sub=f"s{number}", email=f"n{number}@example.org", name=name)
            assert sign_in(api, token(said)).body["user"]["name"] == f"n{number}"

    def test_takes_any_issuer_that_is_set_up(self, api: Api, issuer: Issuer, at: Moment) -> None:
        said = claims(at, iss="https://id.example.org", aud=["ours"], email_verified="true")
        assert sign_in(api, token(said), provider="example").status == 200
        assert ExternalIdentity.objects.get().issuer == "https://id.example.org"
        # The same subject of another issuer is somebody else.
        google = sign_in(api, token(claims(at, email="g@example.org")))
        assert google.status == 200
        assert User.objects.count() == 2

    def test_refuses_a_provider_that_is_not_set_up(self, api: Api, issuer: Issuer, at: Moment) -> None:
        answer = sign_in(api, token(claims(at)), provider="apple")
        assert (answer.status, answer.code, issuer.reads) == (404, "not_found", 0)

    def test_compares_the_nonce_that_the_app_asked_with(self, api: Api, issuer: Issuer, at: Moment) -> None:
        with_nonce = token(claims(at, nonce="n-1"))
        for given, nonce, status in (
            (with_nonce, "n-1", 200),
            (with_nonce, "n-2", 401),
            (token(claims(at)), "n-1", 401),
        ):
            assert sign_in(api, given, nonce=nonce).status == status

    def test_refuses_who_was_deactivated(
        self, api: Api, issuer: Issuer, at: Moment, member: Callable[..., Member]
    ) -> None:
        sign_in(api, token(claims(at)))
        member(email="gone@example.org", is_active=False, email_verified_at=at.now)
        User.objects.update(is_active=False)
        before = tables()
        for said in (claims(at), claims(at, sub="1100", email="gone@example.org")):
            answer = sign_in(api, token(said))
            assert (answer.status, answer.code) == (401, "invalid_credentials")
        assert tables() == before


def forged(at: Moment) -> Iterator[tuple[str, str]]:
    """What is wrong with it, and the token."""
    now = int(at.now.timestamp())
    changes: dict[str, Json] = {
        "of another issuer": {"iss": "https://evil.example"},
        "of an issuer that begins alike": {"iss": f"{ISSUER}.evil.example"},
        "for another app": {"aud": "another.apps.example"},
        "for us and another": {"aud": [CLIENT, "another.apps.example"]},
        "for nobody": {"aud": None},
        "run out": {"exp": now - 31},
        "without an end": {"exp": None},
        "from the future": {"iat": now + 60},
        "not valid yet": {"nbf": now + 60},
        "without an issue time": {"iat": None},
        "without a subject": {"sub": None},
        "with an empty subject": {"sub": ""},
        "without an address": {"email": None},
        "with no address": {"email": "amel"},
        "with an address that is not verified": {"email_verified": False},
        "without a word on the address": {"email_verified": None},
        "with a number for the truth": {"email_verified": "1"},
    }
    for what, changed in changes.items():
        yield what, token(claims(at, **changed))
    genuine = claims(at)
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield "unsigned", by_hand({"alg": "none", "kid": "rsa"}, genuine, None)
    yield "signed with the public key as a secret", by_hand({"alg": "HS256", "kid": "rsa"}, genuine, pem)
    yield "signed with a published secret", by_hand({"alg": "HS256", "kid": "secret"}, genuine, b"x" * 32)
    yield "signed with another key", token(genuine, key=OTHER_RSA)
    yield "signed with a key for encryption", token(genuine, key=OTHER_RSA, kid="for-encryption")
    yield "signed with a weak key", weakly_signed(genuine)
    yield "signed with a longer hash", token(genuine, algorithm="RS512")
    yield "of an unknown key", token(genuine, kid="unknown")
    yield "that brings its key", token(genuine, key=OTHER_RSA, kid="mine", jwk=public(OTHER_RSA, "mine"))
    yield "without a key id", jwt.encode(genuine, RSA, algorithm="RS256")
    yield "an access token", token(genuine, typ="at+jwt")
    yield "with a critical header", token(genuine, crit=["x"], x=1)
    yield (
        "with another's claims",
        ".".join([*token(claims(at, sub="1")).split(".")[:2], token(genuine).rpartition(".")[2]]),
    )
    yield "a number for a subject", by_hand({"alg": "RS256", "kid": "rsa"}, {**genuine, "sub": 1}, None)
    yield "no token", "a.b.c"


def weakly_signed(said: Json) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    signed, _, _ = by_hand({"alg": "RS256", "kid": "weak"}, said, None).rpartition(".")
    signature = WEAK_RSA.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class TestForgedTokens:
    def test_are_all_refused_alike(self, api: Api, issuer: Issuer, at: Moment) -> None:
        before = tables()
        answers = {}
        for what, given in forged(at):
            answer = sign_in(api.with_headers(X_Request_ID="same"), given)
            answers[what] = (answer.status, answer.body)
            assert answer.status == 401, what
        assert len(answers) > 30
        assert set(map(str, answers.values())) == {str(answers["unsigned"])}
        assert answers["unsigned"][1]["code"] == "invalid_token"
        assert tables() == before
        assert ExternalIdentity.objects.count() == 0

    def test_but_clocks_may_differ_a_little(self, api: Api, issuer: Issuer, at: Moment) -> None:
        now = int(at.now.timestamp())
        for changed in ({"exp": now - 29}, {"iat": now + 29}):
            assert sign_in(api, token(claims(at, **changed))).status == 200

    def test_our_own_tokens_are_none_of_theirs(
        self, api: Api, issuer: Issuer, at: Moment, member: Callable[..., Member]
    ) -> None:
        assert sign_in(api, member().access).code == "invalid_token"


class TestKeys:
    def test_are_read_once(self, api: Api, issuer: Issuer, at: Moment) -> None:
        for _ in range(3):
            assert sign_in(api, token(claims(at))).status == 200
        assert issuer.reads == 1

    def test_are_read_again_for_an_unknown_one_but_not_at_once(
        self, api: Api, issuer: Issuer, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sign_in(api, token(claims(at)))
        issuer.keys = [public(OTHER_RSA, "new")]
        rotated = token(claims(at), key=OTHER_RSA, kid="new")
        for _ in range(3):
            assert sign_in(api, rotated).status == 401
        assert issuer.reads == 1
        later(monkeypatch, openid_tokens.COOL_DOWN_SECONDS)
        assert sign_in(api, rotated).status == 200
        assert sign_in(api, token(claims(at))).status == 401  # a key that is published no more
        assert issuer.reads == 2

    def test_are_believed_for_a_day_while_the_issuer_is_away(
        self, api: Api, issuer: Issuer, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sign_in(api, token(claims(at)))
        issuer.status = 503
        later(monkeypatch, openid_tokens.KEYS_FRESH_SECONDS)
        assert sign_in(api, token(claims(at))).status == 200
        assert issuer.reads == 2
        later(monkeypatch, openid_tokens.KEYS_USABLE_SECONDS)
        answer = sign_in(api, token(claims(at)))
        assert (answer.status, answer.code) == (503, "unavailable")

    def test_are_not_what_is_no_set_of_keys(
        self, api: Api, issuer: Issuer, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys: Any
        for keys in (7, None, [], ["x"], [[]], [{"kid": "rsa"}], [{"kty": "RSA", "kid": "rsa", "n": 5, "e": {}}]):
            issuer.keys = keys
            openid_tokens.key_set.cache_clear()
            assert sign_in(api, token(claims(at))).status == 503, keys


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The machine's own clock goes on."""
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + seconds)


class TestLinking:
    def test_goes_to_the_account_that_has_proved_the_same_address_and_ends_what_it_had(
        self, api: Api, issuer: Issuer, at: Moment, member: Callable[..., Member]
    ) -> None:
        """A9: on a safe link, too, all old sessions and the password die. Seen red when either of them stayed."""
        me = member(email="amel@EXAMPLE.org", email_verified_at=at.now, phone_number="+213550123456")
        password = {"identifier": "amel@example.org", "password": PASSWORD}
        User.objects.filter(pk=me.id).update(password=hash_password(PASSWORD))
        old = api.post("/auth/login/", password).body
        answer = sign_in(api, token(claims(at)))
        assert (answer.body["user"]["id"], answer.body["user"]["phone_number"]) == (me.id, "+213550123456")
        assert [api.as_(me).get("/me/").code, api.with_token(old["access"]).get("/me/").code] == ["invalid_token"] * 2
        assert api.post("/auth/token/refresh/", {"refresh": old["refresh"]}).status == 401
        assert api.post("/auth/login/", password).code == "invalid_credentials"
        ended = EventRow.objects.get(room=f"user:{me.id}", type="session.ended")
        assert ended.data == '{"session_id":null,"reason":"identity_linked"}'
        assert api.with_token(answer.body["access"]).get("/me/").status == 200
        again = sign_in(api, token(claims(at)))  # what is linked is signed in and ends nothing
        assert api.with_token(answer.body["access"]).get("/me/").status == again.status == 200
        assert AuditRow.objects.get(action="accounts.identity_linked").changes["how"] == "linked"
        (notice,) = JobRow.objects.filter(name="accounts.send_notice").values_list("arguments", flat=True)
        assert notice == {"user_id": me.id, "kind": "identity_linked", "to": None}

    def test_asks_for_the_second_factor(
        self, api: Api, issuer: Issuer, at: Moment, member: Callable[..., Member]
    ) -> None:
        me = member(email="amel@example.org", email_verified_at=at.now)
        secret = api.as_(me).post("/auth/two-factor/", {}).body["secret"]
        api.as_(me).post("/auth/two-factor/confirm/", {"otp": pyotp.TOTP(secret).at(at.now)})
        given = token(claims(at))
        assert sign_in(api, given).code == "otp_required"
        assert sign_in(api, given, otp="000000").code == "invalid_credentials"
        assert ExternalIdentity.objects.count() == 0
        at.forward(seconds=60)
        assert sign_in(api, given, otp=pyotp.TOTP(secret).at(at.now)).status == 200
        assert sign_in(api, given).code == "otp_required"

    def test_takes_an_account_from_who_registered_anothers_address(self, api: Api, issuer: Issuer, at: Moment) -> None:
        """A9: the attacker signs up with the victim's address and waits for the victim to come by Google."""
        attack = api.post("/auth/register/", form(email="amel@example.org", phone_number="+213550000666")).body
        attacker = api.with_token(attack["access"])
        secret = attacker.post("/auth/two-factor/", {}).body["secret"]
        attacker.post("/auth/two-factor/confirm/", {"otp": pyotp.TOTP(secret).at(at.now)})
        ExternalIdentity.objects.create(
            user_id=attack["user"]["id"], issuer=ISSUER, subject="attacker", created_at=at.now
        )
        at.forward(seconds=60)
        # No code is asked for: the factor is the attacker's.
        victim = sign_in(api, token(claims(at)))
        assert (victim.status, victim.body["user"]["id"]) == (200, attack["user"]["id"])
        assert victim.body["user"]["phone_number"] is None
        assert attacker.get("/me/").code == "invalid_token"
        assert api.post("/auth/token/refresh/", {"refresh": attack["refresh"]}).status == 401
        assert api.post("/auth/login/", {"identifier": "amel@example.org", "password": PASSWORD}).status == 401
        assert SecondFactor.objects.count() == 0
        again = sign_in(api, token(claims(at, sub="attacker", email="attacker@example.org")))
        assert again.body["user"]["id"] != attack["user"]["id"]
        assert Session.objects.filter(user_id=attack["user"]["id"], ended_at=None).count() == 1
        assert AuditRow.objects.filter(action="accounts.identity_linked").earliest("id").changes["how"] == "taken_over"

    def test_follows_no_address_that_somebody_wants(
        self, api: Api, issuer: Issuer, at: Moment, member: Callable[..., Member]
    ) -> None:
        """Seen red with an account that is found by what is pending."""
        attacker = member(email="attacker@example.org", email_verified_at=at.now, is_verified=True)
        assert api.as_(attacker).patch("/me/", {"email": "amel@example.org"}).status == 200
        victim = sign_in(api, token(claims(at)))
        assert (victim.status, victim.body["user"]["email"]) == (200, "Amel@example.org")
        assert victim.body["user"]["id"] != attacker.id

    def test_makes_a_manager_of_who_proves_an_invited_address(
        self, api: Api, issuer: Issuer, at: Moment, member: Callable[..., Member]
    ) -> None:
        assert api.as_(member("admin")).post("/admin/invitations/", {"email": "amel@example.org"}).status == 201
        assert sign_in(api, token(claims(at))).body["user"]["roles"] == ["client", "manager"]
        assert Invitation.objects.get().accepted_at == at.now
