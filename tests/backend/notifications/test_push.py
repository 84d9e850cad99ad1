"""Pushes to browsers and phones: what arrives, what an answer means, what becomes of the device."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backend.accounts.models import Session
from backend.core import environment as env
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from backend.core.outbound import NotRead
from backend.notifications.models import Delivery, Device
from backend.notifications.push import fcm, vapid
from backend.notifications.push.encryption import encrypt
from backend.notifications.services import delivering
from backend.notifications.services.registering import MOST_DEVICES
from tests.backend.notifications.conftest import Announce, MakeMember
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member
from tests.support.push import Browser, PushServer, decoded, encoded, push_server
from tests.support.world import everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[PushServer]:
    with push_server() as server:
        yield server


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    return member(name="Amel")


@pytest.fixture
def browser(api: Api, amel: Member, server: PushServer) -> Browser:
    """Amel's, which is registered."""
    browser = Browser()
    answer = api.as_(amel).post("/devices/", browser.subscription(f"{server.url}/send/1"))
    assert answer.status == 201, answer.body
    return browser


def settle(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    changed = env.environment().model_copy(update=changes)
    for module in ("push.vapid", "push.fcm", "services.registering"):
        monkeypatch.setattr(f"backend.notifications.{module}.environment", lambda: changed)


class TestEncryption:
    def test_gives_the_example_of_rfc_8291_to_the_byte(self) -> None:
        """Appendix A. Seen red with the two public keys in the other order."""
        own = ec.derive_private_key(
            int.from_bytes(decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"), ec.SECP256R1()
        )
        body = encrypt(
            b"When I grow up, I want to be a watermelon",
            public_key=decoded(
                "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
            ),
            secret=decoded("BTBZMqHH6r4Tts7J_aSIgg"),
            salt=decoded("DGv6ra1nlYgDCS1FRnbzlw"),
            own_key=own,
        )
        assert encoded(body) == (
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg"
            "Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexS"
            "gSxsj_Qulcy4a-fN"
        )

    def test_never_uses_a_salt_or_a_key_twice(self) -> None:
        browser = Browser()
        one, two = (encrypt(b"{}", public_key=browser.point, secret=browser.secret) for _ in range(2))
        assert one[:16] != two[:16]
        assert one[21:86] != two[21:86]
        assert browser.read(one) == browser.read(two) == {}


class TestWebPush:
    def test_reaches_the_browser_which_alone_can_read_it(
        self, amel: Member, server: PushServer, browser: Browser, announce: Announce, at: Moment
    ) -> None:
        announce(amel, title="خبر", text="All is <b>well</b>.")
        assert server.got == []
        run_jobs("notifications.deliver")
        (push,) = server.got
        read = browser.read(push.body)
        assert read == {
            "id": read["id"],
            "type": "announcement",
            "title": "\u2068خبر\u2069",
            "body": "All is <b>well</b>.",
            "reference": "",
            "unread_count": 1,
        }
        assert push.path == "/send/1"
        assert (push.headers["ttl"], push.headers["urgency"]) == ("86400", "normal")
        assert push.headers["content-encoding"] == "aes128gcm"
        claims = server.vapid_claims(push)
        assert claims["sub"] == "mailto:no-reply@localhost"
        assert claims["exp"] == int((at.now + timedelta(hours=12)).timestamp())
        assert push.headers["authorization"].endswith(f"k={vapid.public_key()}")
        assert Delivery.objects.get().status == "sent"

    def test_fits_however_long_and_whatever_the_letters(
        self, amel: Member, server: PushServer, browser: Browser, announce: Announce
    ) -> None:
        delivery = announce(amel) and Delivery.objects.select_related("notification").get()
        assert delivery
        delivery.notification.body = "😀" * 1000
        delivery.notification.save()
        run_jobs("notifications.deliver")
        assert browser.read(server.got[0].body)["body"].endswith("😀…")

    @pytest.mark.parametrize(
        ("status", "meaning"),
        [
            (404, NobodyThereError),
            (410, NobodyThereError),
            (429, NotDoneError),
            (500, NotDoneError),
            (503, NotDoneError),
            (400, NeverDoneError),
            (403, NeverDoneError),
            (413, NeverDoneError),
            (302, NeverDoneError),
        ],
    )
    def test_says_what_an_answer_means(
        self,
        amel: Member,
        server: PushServer,
        browser: Browser,
        announce: Announce,
        at: Moment,
        status: int,
        meaning: type[Exception],
    ) -> None:
        announce(amel)
        server.statuses = [status]
        delivery = Delivery.objects.get()
        call = delivering.prepare(delivery_id=delivery.pk, now=at.now)
        assert call is not None
        with pytest.raises(meaning, match=str(status)) as raised:
            call()
        assert len(server.got) == 1
        delivering.give_up(delivery_id=delivery.pk, error=raised.value, now=at.now)
        delivery.refresh_from_db()
        gone = meaning is NobodyThereError
        assert delivery.status == ("suppressed" if gone else "undelivered")
        assert delivery.reason == f"the push service answered {status}"
        assert Device.objects.exists() is not gone

    def test_does_not_know_what_became_of_one_that_got_no_answer(
        self, amel: Member, browser: Browser, announce: Announce, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(*_: object, **__: object) -> int:
            raise NotRead("ReadTimeout")

        announce(amel)
        monkeypatch.setattr("backend.core.outbound.post", lost)
        call = delivering.prepare(delivery_id=Delivery.objects.get().pk, now=at.now)
        assert call is not None
        with pytest.raises(NotRead):
            call()

    def test_reaches_nothing_inside(
        self,
        api: Api,
        amel: Member,
        server: PushServer,
        monkeypatch: pytest.MonkeyPatch,
        announce: Announce,
        at: Moment,
    ) -> None:
        """I8. Seen red with the push sent by a client of its own."""
        endpoint = f"https://127.0.0.1:{server.url.rpartition(':')[2]}/send/1"
        assert api.as_(amel).post("/devices/", Browser().subscription(endpoint)).status == 201
        production = env.environment().model_copy(update={"environment": "production"})
        monkeypatch.setattr("backend.core.outbound.environment", lambda: production)
        announce(amel)
        call = delivering.prepare(delivery_id=Delivery.objects.get().pk, now=at.now)
        assert call is not None
        with pytest.raises(NotDoneError, match="inside"):
            call()
        assert server.got == []


class TestDevices:
    def test_stops_with_the_session_that_registered_it(
        self, amel: Member, server: PushServer, browser: Browser, announce: Announce, at: Moment
    ) -> None:
        """Seen red without the look at the session: who took over the phone read on."""
        announce(amel)
        Session.objects.filter(pk=amel.session.pk).update(ended_at=at.now)
        run_jobs("notifications.deliver")
        assert server.got == []
        assert not Device.objects.exists()
        assert (Delivery.objects.get().status, Delivery.objects.get().reason) == (
            "suppressed",
            "the device is signed out",
        )

    def test_is_one_person_s_at_a_time_and_registered_once(
        self, api: Api, amel: Member, member: MakeMember, server: PushServer, browser: Browser
    ) -> None:
        form = browser.subscription(f"{server.url}/send/1")
        first = Device.objects.get().pk
        assert api.as_(amel).post("/devices/", form).body["id"] == first
        lina = member()
        assert api.as_(lina).post("/devices/", form).status == 201
        assert Device.objects.get().user_id == lina.id
        assert api.as_(amel).delete(f"/devices/{first}/").status == 404
        assert api.as_(lina).delete(f"/devices/{first}/").status == 204
        assert not Device.objects.exists()

    def test_keeps_the_newest_ten(self, api: Api, amel: Member, at: Moment) -> None:
        for number in range(MOST_DEVICES + 2):
            at.forward(minutes=1)
            assert api.as_(amel).post("/devices/", {"kind": "fcm", "token": f"t{number}"}).status == 201
        assert sorted(Device.objects.values_list("token", flat=True)) == sorted(f"t{n}" for n in range(2, 12))

    @pytest.mark.parametrize(
        ("field", "change"),
        [
            ("body.endpoint", {"endpoint": "javascript:alert(1)"}),
            ("body.endpoint", {"endpoint": "https:///x"}),
            ("body.endpoint", {"endpoint": None}),
            ("body.endpoint", {"endpoint": "http://[::1"}),
            ("body.p256dh", {"p256dh": encoded(b"\4" + b"\1" * 64)}),
            ("body.p256dh", {"p256dh": "%%%"}),
            ("body.auth", {"auth": encoded(b"short")}),
            ("body.auth", {"auth": None}),
            ("body.kind", {"token": "t"}),
            ("body.token", {"kind": "fcm"}),
        ],
    )
    def test_takes_only_what_can_be_encrypted_for(
        self, api: Api, amel: Member, field: str, change: dict[str, Any]
    ) -> None:
        before = everything()
        form = {**Browser().subscription("https://push.example.org/1"), **change}
        refused = api.as_(amel).post("/devices/", form)
        assert (refused.status, refused.fields) == (422, {field: "validation_failed"})
        assert everything() == before

    def test_takes_https_only_in_production(self, api: Api, amel: Member, monkeypatch: pytest.MonkeyPatch) -> None:
        settle(monkeypatch, environment="production")
        refused = api.as_(amel).post("/devices/", Browser().subscription("http://push.example.org/1"))
        assert refused.fields == {"body.endpoint": "validation_failed"}


class TestKey:
    def test_is_made_from_the_secret_where_none_is_set(self, api: Api) -> None:
        key = api.get("/push/key/").body["public_key"]
        assert len(decoded(key)) == 65
        assert api.get("/push/key/").body["public_key"] == key

    def test_is_the_one_that_is_set_or_none_in_production(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        settle(monkeypatch, environment="production", vapid_private_key="yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
        assert api.get("/push/key/").body["public_key"] == (
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
        )
        settle(monkeypatch, environment="production", vapid_private_key="")
        assert api.get("/push/key/").body == {"public_key": None}


PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def firebase(server: PushServer, monkeypatch: pytest.MonkeyPatch) -> PushServer:
    account = env.FcmAccount(
        project_id="callout-test",
        client_email="push@callout-test.example",
        private_key=PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        token_uri=f"{server.url}/token",
    )
    settle(monkeypatch, fcm_service_account=account, fcm_url=server.url)
    monkeypatch.setattr(fcm, "_token", ("", 0.0))
    return server


class TestFirebase:
    @pytest.fixture(autouse=True)
    def _phone(self, api: Api, amel: Member) -> None:
        assert api.as_(amel).post("/devices/", {"kind": "fcm", "token": "phone-1"}).status == 201

    def test_sends_what_the_phone_shows_with_a_token_that_is_asked_for_once(
        self, firebase: PushServer, amel: Member, announce: Announce
    ) -> None:
        announce(amel)
        announce(amel, source="announcement:2")
        run_jobs("notifications.deliver")
        (form,) = firebase.forms()
        claims = jwt.decode(
            form["assertion"][0], PRIVATE.public_key(), algorithms=["RS256"], audience=f"{firebase.url}/token"
        )
        assert (claims["iss"], claims["scope"]) == ("push@callout-test.example", fcm.SCOPE)
        first, _ = firebase.pushes
        assert first.path == "/v1/projects/callout-test/messages:send"
        assert first.headers["authorization"] == "Bearer at-1"
        message = json.loads(first.body)["message"]
        delivery = Delivery.objects.earliest("pk")
        assert message["token"] == "phone-1"
        assert message["notification"] == {"title": "News", "body": "All is well."}
        assert message["data"]["unread_count"] == "2"
        # Seen red with a `collapse_key`: of those, FCM keeps four for a phone that is off.
        assert message["android"] == {"priority": "NORMAL", "ttl": "86400s", "notification": {"tag": delivery.key}}
        assert message["apns"]["headers"]["apns-collapse-id"] == delivery.key

    @pytest.mark.parametrize(
        ("status", "text", "meaning"),
        [
            (404, '{"error":{"status":"NOT_FOUND"}}', NobodyThereError),
            (400, '{"error":{"details":[{"errorCode":"UNREGISTERED"}]}}', NobodyThereError),
            (400, '{"error":{"status":"INVALID_ARGUMENT"}}', NeverDoneError),
            (401, "", NotDoneError),
            (429, "", NotDoneError),
            (503, "", NotDoneError),
        ],
    )
    def test_says_what_an_answer_means(
        self,
        firebase: PushServer,
        amel: Member,
        announce: Announce,
        at: Moment,
        status: int,
        text: str,
        meaning: type[Exception],
    ) -> None:
        announce(amel)
        firebase.statuses, firebase.text = [status], text
        call = delivering.prepare(delivery_id=Delivery.objects.get().pk, now=at.now)
        assert call is not None
        with pytest.raises(meaning):
            call()
        call()
        assert len(firebase.forms()) == (2 if status == 401 else 1)

    def test_is_undelivered_where_it_is_not_set_up(self, amel: Member, announce: Announce, at: Moment) -> None:
        announce(amel)
        call = delivering.prepare(delivery_id=Delivery.objects.get().pk, now=at.now)
        assert call is not None
        with pytest.raises(NeverDoneError, match="not set up"):
            call()
