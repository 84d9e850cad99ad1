"""The decoder apart from the API process (I5): what it may use, how long it may take, and what waits for it."""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from backend.core.errors import Unavailable
from backend.media import decoding
from backend.media.errors import InvalidImage
from backend.media.models import StoredFile
from backend.media.services import pictures
from tests.backend.media.corpus import picture
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import make_member

Decode = Callable[[str], None]
# The decoder itself, with what reads a picture replaced: the limits are set by then.
PROGRAM = """
import os, resource, signal, sys, time
sys.path.insert(0, {folder!r})
import decoding
def read(*_, **__):
    {does}
    os._exit(0)
decoding.read = read
sys.exit(decoding.main(sys.argv[1:]))
"""
SAYS_LIMITS = """raise decoding.Refused(repr([resource.getrlimit(getattr(resource, "RLIMIT_" + name))
        for name in ("AS", "CPU", "FSIZE", "CORE")]))"""
SAYS_SECRETS = 'raise decoding.Refused(repr(set(os.environ) - {"LC_CTYPE"}))'


@pytest.fixture
def decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Decode:
    """Have a picture decoded by a program that does this instead of reading it."""
    (tmp_path / "in.png").write_bytes(picture())
    monkeypatch.setattr(pictures, "PROGRAM", tmp_path / "program.py")

    def decode(does: str) -> None:
        program = PROGRAM.format(folder=str(Path(decoding.__file__).parent), does=does)
        (tmp_path / "program.py").write_text(program)
        pictures.decode("document", tmp_path / "in.png", tmp_path)

    return decode


class TestLimits:
    def test_hold_before_a_byte_is_read(self, decode: Decode) -> None:
        """Seen red without each of the four, and with a processor time a hundred times as long."""
        megabyte = 1024 * 1024
        wanted = [(768 * megabyte,) * 2, (10, 10), (64 * megabyte,) * 2, (0, 0)]
        with pytest.raises(InvalidImage) as refusal:
            decode(SAYS_LIMITS)
        assert refusal.value.detail == repr(wanted)

    def test_refuse_memory(self, decode: Decode) -> None:
        """A gigabyte that is asked for and never touched. Seen red without the limit: it is there."""
        with pytest.raises(InvalidImage, match="too much memory"):
            decode("bytearray(1 << 30)")

    def test_that_end_the_program_are_a_refusal(self, decode: Decode) -> None:
        """As a processor time that is used up does. Seen red when only a refusal of the program's own was one."""
        with pytest.raises(InvalidImage, match="more time or memory"):
            decode("os.kill(os.getpid(), signal.SIGXCPU)")

    def test_end_what_only_waits(self, decode: Decode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It uses no processor time. Seen red without a time limit; who comes next is served."""
        monkeypatch.setattr(pictures, "SECONDS", 0.4)
        with pytest.raises(InvalidImage, match="too long"):
            decode(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(3)")
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
        decode("pass")

    def test_keep_secrets_from_it(self, decode: Decode, monkeypatch: pytest.MonkeyPatch) -> None:
        """Seen red with the environment of the API process."""
        monkeypatch.setenv("SECRET_KEY", "canary")
        with pytest.raises(InvalidImage) as refusal:
            decode(SAYS_SECRETS)
        assert refusal.value.detail == repr(set())


class TestOneAtATime:
    def test_the_others_are_told_that_it_is_busy(
        self, db: None, at: Moment, files_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen red without the lock, which let all be decoded at once: memory times callers."""
        monkeypatch.setattr(pictures, "WAIT_SECONDS", 0.05)
        api, before = Api().as_(make_member(now=at.now)), sorted(files_folder.rglob("*"))
        with pictures._one_at_a_time:
            answer = api.upload("PUT", "/me/photo/", picture(), "me.png")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert (sorted(files_folder.rglob("*")), StoredFile.objects.exists()) == (before, False)

    def test_who_waits_has_their_turn(self, decode: Decode, monkeypatch: pytest.MonkeyPatch) -> None:
        """Seen red when it was given back only after a picture that was taken."""
        with pytest.raises(InvalidImage):
            decode("raise decoding.Refused('x')")
        began, refused = Event(), []

        def other() -> None:
            began.set()
            try:
                decode("pass")
            except Unavailable as busy:
                refused.append(busy)

        waiting = Thread(target=other)
        with pictures._one_at_a_time:
            waiting.start()
            assert began.wait(5)
            assert waiting.is_alive()
        waiting.join(5)
        assert (waiting.is_alive(), refused) == (False, [])
