"""What media does by itself."""

from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from backend.core import files
from backend.core.errors import Unavailable
from backend.core.jobs import NotDoneError, definition
from backend.core.timetable import entries
from backend.media import public
from backend.media.jobs import purge_files
from backend.media.models import StoredFile
from tests.conftest import Moment


class TestPurgeFiles:
    def test_stands_in_the_timetable(self) -> None:
        assert "media.purge_files" in {entry.job for entry in entries()}
        assert definition("media.purge_files").is_outside

    @pytest.mark.usefixtures("db")
    def test_deletes_what_nobody_wants_in_parts(self, at: Moment, files_folder: Path) -> None:
        kept = [public.keep_pdf(ContentFile(b"%PDF-1.4"), now=at.now) for _ in range(3)]
        StoredFile.objects.filter(key=kept[0].key).update(purge_at=None)
        call = purge_files(now=at.forward(days=1), key="k")
        assert call is not None
        call()
        assert [(files_folder / file.key).exists() for file in kept] == [True, False, False]
        assert StoredFile.objects.get().key == kept[0].key
        call()

    @pytest.mark.usefixtures("db")
    def test_is_tried_again_when_the_storage_is_away(self, at: Moment, monkeypatch: pytest.MonkeyPatch) -> None:
        public.keep_pdf(ContentFile(b"%PDF-1.4"), now=at.now)

        def away(key: str) -> None:
            raise Unavailable

        monkeypatch.setattr(files, "remove", away)
        call = purge_files(now=at.forward(days=1), key="k")
        assert call is not None
        with pytest.raises(NotDoneError):
            call()
        assert StoredFile.objects.count() == 1
