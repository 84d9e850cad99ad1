# ruff: noqa: RUF001 - Arabic and Russian letters
"""When one is left in peace, and how what others wrote is put into a sentence."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.notifications.rules import end_of_quiet, next_daily_email, plain, set_in
from backend.notifications.services.writing import write


def quiet(now: str, start: str, until: str, zone: str = "UTC") -> str | None:
    end = end_of_quiet(
        datetime.fromisoformat(now),
        quiet_from=time.fromisoformat(start),
        quiet_until=time.fromisoformat(until),
        time_zone=zone,
    )
    return end.isoformat() if end else None


class TestQuietHours:
    @pytest.mark.parametrize(
        ("now", "end"),
        [
            ("2030-05-15T21:59:59+00:00", None),
            ("2030-05-15T22:00:00+00:00", "2030-05-16T07:00:00+00:00"),
            ("2030-05-16T06:59:59+00:00", "2030-05-16T07:00:00+00:00"),
            ("2030-05-16T07:00:00+00:00", None),
        ],
    )
    def test_last_over_midnight(self, now: str, end: str | None) -> None:
        assert quiet(now, "22:00", "07:00") == end

    def test_follow_the_person_s_clock(self) -> None:
        assert quiet("2030-05-15T12:30:00+00:00", "13:00", "14:00") is None
        assert quiet("2030-05-15T12:30:00+00:00", "13:00", "14:00", "Africa/Algiers") == "2030-05-15T13:00:00+00:00"
        assert quiet("2030-05-15T18:30:00+00:00", "22:00", "07:00", "Asia/Kathmandu") == "2030-05-16T01:15:00+00:00"

    def test_end_at_the_later_of_two_equal_times_and_after_an_hour_that_is_not_there(self) -> None:
        # In Paris it is 02:30 twice on 27 October 2030, and never on 31 March 2030.
        assert quiet("2030-10-27T01:15:00+00:00", "22:00", "02:30", "Europe/Paris") == "2030-10-27T01:30:00+00:00"
        assert quiet("2030-03-31T00:30:00+00:00", "22:00", "02:30", "Europe/Paris") == "2030-03-31T01:30:00+00:00"

    @given(
        st.integers(0, 2**37).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
        st.integers(0, 1439).map(lambda minutes: time(minutes // 60, minutes % 60)),
        st.integers(0, 1439).map(lambda minutes: time(minutes // 60, minutes % 60)),
        st.sampled_from(["UTC", "Europe/Paris", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"]),
    )
    def test_always_end_within_a_day_and_never_in_the_past(
        self, now: datetime, start: time, until: time, zone: str
    ) -> None:
        end = end_of_quiet(now, quiet_from=start, quiet_until=until, time_zone=zone)
        assert end is None or now < end <= now + timedelta(hours=50)
        daily = next_daily_email(now, time_zone=zone)
        assert now < daily <= now + timedelta(hours=50)
        assert daily.astimezone(ZoneInfo(zone)).time() == time(8)


HOSTILE = "A\r\nBcc: all@example.org\u202e\u2066<b>x</b>\x00\u2028 \u200f"


class TestWhatOthersWrote:
    def test_is_one_line_without_anything_that_turns_the_sentence(self) -> None:
        assert plain(HOSTILE) == "A Bcc: all@example.org<b>x</b>"
        assert plain("x" * 1000) == "x" * 119 + "…"

    def test_is_isolated_where_its_letters_run_against_the_sentence(self) -> None:
        """Seen red without isolation."""
        assert set_in("Amel", language="fr") == "Amel"
        assert set_in("أمال", language="fr") == "\u2068أمال\u2069"
        assert set_in("أمال", language="ar") == "أمال"
        assert set_in("Amel", language="ar") == "\u2068Amel\u2069"

    def test_leaves_a_title_one_line_whatever_a_name_holds(self) -> None:
        """Seen red with values put in as they came."""
        for language in ("en", "fr", "ar", "ru", "es", "tlh"):
            words = write("assistance.accepted", {"assistant": HOSTILE}, language=language, time_zone="UTC")
            assert "\n" not in words.title
            assert "\u202e" not in words.title
            assert "<b>x</b>" in words.title

    def test_writes_moments_by_the_person_s_clock(self) -> None:
        values = {"service": "Haircut", "provider": "Karim", "starts_at": "2030-05-16T23:30:00+00:00"}
        words = write("booking.confirmed", values, language="en", time_zone="Africa/Algiers")
        assert words.body == "Haircut · May 17, 2030, 12:30 a.m. · Karim"

    def test_gives_reason_and_fee_lines_of_their_own(self) -> None:
        values = {
            "service": "Coupe",
            "provider": "Karim",
            "starts_at": "2030-05-16T10:00:00+00:00",
            "reason": "Ill",
            "fee": "5.00 EUR",
        }
        words = write("booking.cancelled", values, language="en", time_zone="UTC")
        assert words.body == "Coupe · May 16, 2030, 10 a.m. · Karim\nReason: Ill\nCancellation fee: 5.00 EUR"
        words = write("booking.moved", values, language="ar", time_zone="UTC")
        assert words.body.splitlines()[0] == "\u2068Coupe\u2069 · 16 مايو، 2030 · 10:00 ص · \u2068Karim\u2069"

    def test_leaves_a_text_of_its_own_as_long_as_it_is(self) -> None:
        """Seen red with texts cut like names."""
        text = f"First\u202e line.\r\n\r\n{'x' * 500}"
        words = write("announcement", {"title": "News", "text": text}, language="en", time_zone="UTC")
        assert words.body == f"First line.\n\n{'x' * 500}"

    @pytest.mark.parametrize(
        ("language", "sentence"),
        [("en", "It holds until June 14, 2030."), ("ru", "Действует до 14 июня 2030 г."), ("fr", "14 juin 2030.")],
    )
    def test_ends_a_sentence_once(self, language: str, sentence: str) -> None:
        """Seen red in Russian, whose dates end with a full stop of their own."""
        values = {"document_code": "driving_license", "expires_on": "2030-06-14"}
        body = write("document.expiring", values, language=language, time_zone="UTC").body
        assert f"{sentence} " in body
