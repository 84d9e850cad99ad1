from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.mail import EmailMultiAlternatives
from pytest_django import Settings

from backend.core.environment import environment
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from backend.core.mail import compose, deliver
from tests.support.outside import MailServer, mail_server


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        yield server


def mail(language: str = "en", to: str = "amel@example.org", code: str = "012345") -> EmailMultiAlternatives:
    context = {"code": code, "link": "https://api.example.org/verify/?a=1&token=x"}
    return compose("accounts/mail/verify_email", to=to, language=language, key="accounts.send_code.7", context=context)


class TestCompose:
    def test_writes_text_and_html_with_its_styles_in_the_elements(self) -> None:
        message = mail()
        assert message.subject == "Confirm your e-mail address"
        assert "\n    012345\n" in message.body
        assert "https://api.example.org/verify/?a=1&token=x" in message.body
        html = str(message.alternatives[0][0])
        assert '<html lang="en" dir="ltr">' in html
        assert 'class="code" dir="ltr" style="' in html
        assert "@media" in html
        assert "verify/?a=1&amp;token=x" in html

    @pytest.mark.parametrize(
        ("language", "subject", "direction"),
        [
            ("fr", "Confirmez votre adresse e-mail", "ltr"),
            ("ar", "أكّد عنوان بريدك الإلكتروني", "rtl"),
            ("ru", "Подтвердите адрес электронной почты", "ltr"),
            ("es", "Confirma tu dirección de correo", "ltr"),
            ("fr-ca", "Confirmez votre adresse e-mail", "ltr"),
            ("tlh", "Confirm your e-mail address", "ltr"),
        ],
    )
    def test_speaks_the_language_of_the_person(self, language: str, subject: str, direction: str) -> None:
        message = mail(language)
        assert message.subject == subject
        assert f'lang="{language}" dir="{direction}"' in str(message.alternatives[0][0])

    def test_escapes_what_stands_in_it(self) -> None:
        assert "<script>" not in str(mail(code="<script>").alternatives[0][0])


class TestDeliver:
    def test_sends_a_real_mail(self, server: MailServer) -> None:
        deliver(mail("ar"))
        (sent,) = server.mails
        assert (sent["To"], sent["From"]) == ("amel@example.org", environment().email_from)
        assert str(sent["Subject"]).strip() == "أكّد عنوان بريدك الإلكتروني"
        assert (sent["Message-ID"], sent["Auto-Submitted"]) == ("<accounts.send_code.7@localhost>", "auto-generated")
        text, html = sent.get_body(("plain",)), sent.get_body(("html",))
        assert text is not None
        assert html is not None
        assert "012345" in text.get_content()
        assert "012345" in html.get_content()

    @pytest.mark.parametrize("to", ["amel@example.org\nBcc: all@example.org", "amel@example.org\r\nX: 1"])
    def test_lets_no_header_be_slipped_in(self, server: MailServer, to: str) -> None:
        with pytest.raises(NeverDoneError):
            deliver(mail(to=to))
        assert server.mails == []

    @pytest.mark.parametrize(
        ("answer", "meaning"), [("550 No such user", NeverDoneError), ("450 Try later", NotDoneError)]
    )
    def test_tells_a_refusal_for_good_from_one_for_now(
        self, server: MailServer, answer: str, meaning: type[Exception]
    ) -> None:
        server.answer_to_recipient = answer
        with pytest.raises(meaning, match=f"^the mail server answered {answer[:3]}$"):
            deliver(mail())
        server.answer_to_recipient, server.answer_to_data = "250 OK", answer
        with pytest.raises(meaning) as raised:
            deliver(mail())
        assert not isinstance(raised.value, NobodyThereError)

    def test_tells_an_address_that_is_nobodys_from_a_mail_that_is_not_taken(self, server: MailServer) -> None:
        server.answer_to_recipient = "550 No such user"
        with pytest.raises(NobodyThereError):
            deliver(mail())

    def test_says_that_nothing_was_done_when_nobody_listens(self, settings: Settings, server: MailServer) -> None:
        settings.EMAIL_PORT = 1
        with pytest.raises(NotDoneError):
            deliver(mail())

    def test_keeps_it_in_a_folder_without_a_server(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.EMAIL_BACKEND = "backend.core.mail.delivery.FolderBackend"
        changed = environment().model_copy(update={"callout_home": str(tmp_path)})
        monkeypatch.setattr("backend.core.keeping.environment", lambda: changed)
        for _ in range(2):
            deliver(mail())
        file = tmp_path / "mail" / "accounts.send_code.7.eml"
        assert "012345" in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        production = environment().model_copy(update={"environment": "production"})
        monkeypatch.setattr("backend.core.mail.delivery.environment", lambda: production)
        with pytest.raises(NotDoneError):
            deliver(mail())
