"""Schemathesis against the running backend: whatever is sent, the answer is one that the document promises.

The seed is fixed, so the suite asks the same every day, and each operation is asked by one who may; `./callout fuzz`
has everybody ask everything, with other questions, more of them, and every combination of bad values (the suite's own
are in `test_hostile_values.py`).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.authorisation import TABLE
from tests.support.job import accepted_job
from tests.support.stack import Platform

DOCUMENT = Path(__file__).parent / "openapi.json"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
"""All but `positive_data_acceptance`: the rules of the domain refuse much that has the right shape."""


ACTORS = ("anonymous", "client", "assistant", "manager")
ENDS_IT = {"logout", "deleteMe"}
"""Who is logged out, or gone, has nothing to do for the rest."""


def asked_by(actor: str) -> list[str]:
    """The operations that the suite has this actor ask: those that nobody before them may do."""
    able = {name: [one for one in ACTORS if rule.expected(one) == "done"] for name, rule in TABLE.items()}
    return [name for name, found in able.items() if (found or ["manager"])[0] == actor and name not in ENDS_IT]


AT_LENGTH = "FUZZ_EXAMPLES" in os.environ
AT_ONCE = [(actor,) for actor in ACTORS] if AT_LENGTH else [ACTORS]
"""Who asks in one run: reading the document takes longer than asking for a part of it."""


class TestFuzzing:
    @pytest.mark.parametrize("actors", AT_ONCE, ids=" ".join)
    def test_every_answer_is_documented(self, stack: Platform, actors: tuple[str, ...], tmp_path: Path) -> None:
        job = accepted_job(stack)
        asked = {
            actor: [one for one in TABLE if one not in ENDS_IT] if AT_LENGTH else asked_by(actor) for actor in actors
        }
        config = tmp_path / "schemathesis.toml"
        places = f'[parameters]\n"path.assistance_id" = {job.id}\n"path.conversation_id" = {job.conversation_id}\n'
        config.write_text(places + "".join(_as(job.tokens.get(actor), chosen) for actor, chosen in asked.items()))
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(DOCUMENT)]
        command += ["--url", stack.url("backend"), "--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color"]
        command += ["--phases", "examples,coverage,fuzzing" if AT_LENGTH else "examples,fuzzing"]
        command += ["--generation-database", "none", "--warnings", "off"]
        command += ["--seed", os.environ.get("FUZZ_SEED", "1"), "--max-examples", os.environ.get("FUZZ_EXAMPLES", "4")]
        chosen = {name for names in asked.values() for name in names}
        command += [word for name in sorted(chosen) for word in ("--include-operation-id", name)]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        said = "SELECT count(*) FROM messaging_message WHERE conversation_id = %s AND sender_id IS NOT NULL"
        [(heard,)] = stack.rows(said, job.conversation_id)
        assert (heard > 0) is any("sendMessage" in asked.get(actor, ()) for actor in ("client", "assistant"))


def _as(token: str | None, operations: list[str]) -> str:
    """The part of the configuration that has these operations asked with this token."""
    if token is None:
        return ""
    who = f'headers = {{ Authorization = "Bearer {token}" }}'
    return f"[[operations]]\ninclude-operation-id = {json.dumps(operations)}\n{who}\n"
