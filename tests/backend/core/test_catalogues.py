"""The translations: complete in every language, and compiled as they stand."""

import ast
import re
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

from backend.cli.catalogues import catalogues, compiled, read
from backend.core.environment import ROOT

LANGUAGES = {"en", "fr", "ar", "ru", "es"}
PLACEHOLDER = re.compile(r"%\(\w+\)s")
CATALOGUES = list(catalogues())


def module_of(catalogue: Path) -> Path:
    return catalogue.parents[3]


def messages_of(module: Path) -> set[str]:
    """Everything that this module's templates say."""
    return {
        ast.literal_eval(found[1])
        for template in module.glob("templates/**/*.*")
        for found in re.finditer(
            r"""gettext\(u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\)""", templatize(template.read_text(encoding="utf-8"))
        )
    }


class TestCatalogues:
    def test_every_module_that_speaks_does_so_in_every_language(self) -> None:
        speaking = {path.parents[1] for path in ROOT.glob("backend/*/templates/*") if messages_of(path.parents[1])}
        assert speaking
        found = {(module_of(path), path.parents[1].name) for path in CATALOGUES}
        assert found == {(module, language) for module in speaking for language in LANGUAGES}

    @pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_translates_what_the_templates_say_and_nothing_else(self, catalogue: Path) -> None:
        messages = read(catalogue.read_text(encoding="utf-8"))
        assert messages.pop("").count("\n") == 4
        assert messages.keys() == messages_of(module_of(catalogue))
        for message, translation in messages.items():
            assert translation.strip()
            assert set(PLACEHOLDER.findall(translation)) == set(PLACEHOLDER.findall(message)), message

    @pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_is_compiled_as_it_stands(self, catalogue: Path) -> None:
        wanted = compiled(read(catalogue.read_text(encoding="utf-8")))
        assert catalogue.with_suffix(".mo").read_bytes() == wanted, "run python -m backend.cli.catalogues"
