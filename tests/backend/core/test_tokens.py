"""Keys of tokens: their forms, and their change while processes with old and new settings run side by side."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from backend.cli.stack import ROOT
from backend.core import tokens
from backend.core.environment import Environment
from backend.core.errors import InvalidToken
from realtime.environment import Environment as SidecarEnvironment
from realtime.tokens import BadToken, TokenVerifier
from shared_contracts.token_keys import read_key
from tests.support.forgeries import FOREIGN_ED, FOREIGN_RSA, PRIVATE, PUBLIC, SECRET, pem_pair

Keys = dict[str, str]


@pytest.fixture(autouse=True)
def forget() -> None:
    tokens._verify_signature.cache_clear()


def as_backend(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    """From here on this process is a backend with these keys."""
    settings = Environment(token_keys=keys)
    monkeypatch.setattr(tokens, "environment", lambda: settings)
    tokens._verify_signature.cache_clear()


def mint(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> str:
    as_backend(monkeypatch, keys)
    return tokens.mint_access(user_id=7, session_id=70, roles=frozenset({"client"}), now=datetime.now(UTC))


def is_taken_by_backend(monkeypatch: pytest.MonkeyPatch, keys: Keys, token: str) -> bool:
    as_backend(monkeypatch, keys)
    try:
        return tokens.verify_access(token).user_id == 7
    except InvalidToken:
        return False


def is_taken_by_sidecar(secrets: Keys, public: Keys, token: str) -> bool:
    settings = SidecarEnvironment(_env_file=None, token_keys=secrets, token_public_keys=public)
    try:
        return TokenVerifier(settings.verifying_keys()).verify(token, now=datetime.now(UTC).timestamp()).user_id == 7
    except BadToken:
        return False


class TestKeys:
    def test_the_form_of_a_key_decides_its_algorithm(self) -> None:
        assert [read_key(text).algorithm for text in (SECRET, PRIVATE, PUBLIC)] == ["HS256", "EdDSA", "EdDSA"]
        assert read_key(PRIVATE).signing is not None
        assert read_key(PUBLIC).signing is None

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (PRIVATE[:60], "cannot be read"),
            (PRIVATE.replace("MC4C", "MC4D"), "cannot be read"),
            (
                FOREIGN_ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")).decode(),
                "cannot be read",
            ),
            (
                FOREIGN_RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
                "of another kind",
            ),
        ],
        ids=["cut short", "bent", "locked", "RSA"],
    )
    def test_another_form_is_refused_without_being_repeated(self, text: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason) as refused:
            read_key(text)
        assert text[30:50] not in str(refused.value)

    def test_the_same_arguments_give_the_same_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A repeated refresh gets the very same successor; EdDSA needs no random number."""
        as_backend(monkeypatch, {"a": PRIVATE})
        now = datetime.now(UTC)
        first, second = (
            tokens.mint(token_type="x", audience="y", claims={"jti": "j"}, issued_at=now, lifetime=timedelta(1))
            for _ in range(2)
        )
        assert first == second

    def test_the_sidecar_reads_what_the_backend_signs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert is_taken_by_sidecar({}, {"a": PUBLIC}, mint(monkeypatch, {"a": PRIVATE}))
        assert is_taken_by_sidecar({"a": PRIVATE}, {}, mint(monkeypatch, {"a": PRIVATE}))  # development shares settings
        assert not is_taken_by_sidecar({}, {"a": pem_pair()[1]}, mint(monkeypatch, {"a": PRIVATE}))


class TestRotation:
    """RELIABILITY.md A11: the new key is made known first, then it signs, then the old one goes."""

    @pytest.mark.parametrize("old_is_shared", [True, False])
    def test_nobody_is_refused_while_neighbouring_settings_run_side_by_side(
        self, monkeypatch: pytest.MonkeyPatch, old_is_shared: bool
    ) -> None:
        (old, old_public), (new, new_public) = (SECRET, "") if old_is_shared else pem_pair(), pem_pair()
        backends: list[Keys] = [
            {"old": old},
            {"old": old, "new": new},  # known everywhere
            {"new": new, "old": old},  # signs
            {"new": new},  # the old one's last access token has run out
        ]
        shared: Keys = {"old": old} if old_is_shared else {}
        public: Keys = {} if old_is_shared else {"old": old_public}
        sidecars: list[tuple[Keys, Keys]] = [
            (shared, public),
            *[(shared, {**public, "new": new_public})] * 2,
            ({}, {"new": new_public}),
        ]
        for step, keys in enumerate(backends):
            token = mint(monkeypatch, keys)
            for other in range(max(0, step - 1), min(4, step + 2)):
                assert is_taken_by_backend(monkeypatch, backends[other], token), (step, other)
                assert is_taken_by_sidecar(*sidecars[other], token), (step, other)

    def test_a_retired_key_is_refused_by_both(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (old, _), (new, new_public) = pem_pair(), pem_pair()
        token = mint(monkeypatch, {"old": old, "new": new})
        assert not is_taken_by_backend(monkeypatch, {"new": new}, token)
        assert not is_taken_by_sidecar({}, {"new": new_public}, token)


class TestTokenKey:
    def test_prints_a_pair_that_both_sides_take(self) -> None:
        printed = subprocess.run(
            [sys.executable, "-m", "backend.cli", "tokenkey", "--kid", "2030"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        settings = dict(line.split("=", 1) for line in printed.splitlines() if not line.startswith("#"))
        assert settings.keys() == {"TOKEN_KEYS", "TOKEN_PUBLIC_KEYS"}
        shell = "; ".join(f"{name}={value}" for name, value in settings.items())
        code = "import json, os; print(json.dumps({k: json.loads(v) for k, v in os.environ.items() if 'TOKEN' in k}))"
        read = subprocess.run(
            ["sh", "-c", f'set -a; {shell}; exec {sys.executable} -c "$1"', "sh", code],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        keys = json.loads(read.stdout)
        private, public = read_key(keys["TOKEN_KEYS"]["2030"]), read_key(keys["TOKEN_PUBLIC_KEYS"]["2030"])
        assert private.verifying == public.verifying
        assert (private.signing is None, public.signing) == (False, None)
