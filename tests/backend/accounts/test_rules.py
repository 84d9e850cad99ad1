from unicodedata import normalize

import pytest

from backend.accounts import rules


class TestPhoneNumber:
    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("0550123456", "+213550123456"),
            ("0550 12 34 56", "+213550123456"),
            ("+213550123456", "+213550123456"),
            ("+213 (0) 550-12-34-56", "+213550123456"),
            ("00213550123456", "+213550123456"),
            ("٠٥٥٠١٢٣٤٥٦", "+213550123456"),
            ("+٢١٣٥٥٠١٢٣٤٥٦", "+213550123456"),
            ("+1234567890", "+1234567890"),
            ("+999123456789", "+999123456789"),
            ("+15551234567", "+15551234567"),
        ],
    )
    def test_is_read_as_e164(self, written: str, kept: str) -> None:
        assert rules.phone_number(written, default_region="DZ") == kept

    @pytest.mark.parametrize(
        "written",
        [
            "",
            " ",
            "123",
            "+12",
            "+0123456789",
            "+1234567890123456",
            "++213550123456",
            "1-800-FLOWERS",
            "+213550123456x5",
            "tel:+213550123456",
            "amel",
            "1234567890",
            "+²¹³550123456",
            "\U0001f600",
            "+213",
            "-" * 40,
        ],
    )
    def test_is_none_for_what_is_no_number(self, written: str) -> None:
        assert rules.phone_number(written, default_region="DZ") is None

    def test_reads_national_forms_by_the_region(self) -> None:
        assert rules.phone_number("06 12 34 56 78", default_region="FR") == "+33612345678"


class TestNames:
    @pytest.mark.parametrize(
        ("whole", "first", "last"),
        [
            ("Amel Haddad", "Amel", "Haddad"),
            ("Gabriel García Márquez", "Gabriel", "García Márquez"),
            ("Teller", "Teller", ""),
            ("محمد بن سلمان", "محمد", "بن سلمان"),
            ("山田 太郎", "太郎", "山田"),
            ("김민준", "김민준", ""),
            ("\U0001f600", "\U0001f600", ""),
        ],
    )
    def test_are_split_in_the_order_of_their_script(self, whole: str, first: str, last: str) -> None:
        assert rules.split_name(whole) == (first, last)

    @pytest.mark.parametrize(
        ("first", "last", "whole"),
        [
            ("Amel", "Haddad", "Amel Haddad"),
            ("太郎", "山田", "山田太郎"),
            ("Teller", "", "Teller"),
            ("Ken", "山田", "Ken 山田"),
        ],
    )
    def test_are_joined_in_the_order_of_their_script(self, first: str, last: str, whole: str) -> None:
        assert rules.join_names(first, last) == whole

    def test_lose_needless_white_space(self) -> None:
        assert rules.one_line("  Amel \t\n Haddad\u00a0 ") == "Amel Haddad"


class TestUsernameBase:
    @pytest.mark.parametrize(
        ("name", "base"),
        [
            ("Amel Haddad", "amel-haddad"),
            (normalize("NFC", "Éloïse Çelik"), "eloise-celik"),
            ("محمد", "user"),
            ("Al", "user"),
            ("0550 123 456", "user"),
            ("x" * 150, "x" * 30),
            ("-" * 10, "user"),
        ],
    )
    def test_is_plain_and_never_a_number(self, name: str, base: str) -> None:
        assert rules.username_base(name) == base
