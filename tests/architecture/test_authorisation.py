"""Who may do what: every operation of the API, tried by everybody. An operation that is not in the table fails.

Each row is tried by every actor on a job that is under way. A refusal must not change anything, and what one may not
see must look exactly like what does not exist.

Seen red with these bugs planted: an operation with `auth=None`, a selector that does not ask whose the thing is.
"""

import pytest

from backend.config.api import api as callout_api
from backend.core.openapi import operations
from tests.architecture.authorisation import TABLE
from tests.architecture.authorisation.rules import File, Outcome, Rule
from tests.support.api import Answer
from tests.support.world import ACTORS, World, everything, rolled_back, rows_written


def call(world: World, rule: Rule, actor: str, **other: int) -> Answer:
    api, path = world.api(actor), world.path(rule.path, **other)
    if isinstance(rule.body, File):
        return api.upload(rule.method, path, rule.body.content, part=rule.body.name, **dict(rule.body.fields))
    return api._send(rule.method, path, world.filled(rule.body))


def statuses(answer: Answer) -> Outcome:
    return "done" if answer.status < 400 else answer.status  # type: ignore[return-value]


class TestAuthorisation:
    def test_every_operation_is_in_the_table_and_none_besides(self) -> None:
        served = {str(operation.operation_id): path for path, operation in operations(callout_api)}
        assert served.keys() == TABLE.keys()
        for operation_id, path in served.items():
            shape = path.replace("{assistance_id}", "{job}").replace("_id}", "}")
            assert TABLE[operation_id].path == shape

    def test_only_what_the_table_calls_public_is_served_without_signing_in(self) -> None:
        open_ones = {operation.operation_id for _, operation in operations(callout_api) if not operation.auth_callbacks}
        assert open_ones == {name for name, rule in TABLE.items() if rule.is_open}

    @pytest.mark.parametrize("operation_id", TABLE)
    def test_each_actor_gets_what_the_table_says(self, world: World, operation_id: str) -> None:
        rule = TABLE[operation_id]
        for actor in ACTORS:
            with rolled_back():
                written = rows_written()
                answer = call(world, rule, actor)
                assert statuses(answer) == rule.expected(actor), (actor, answer.body)
                after = everything() if answer.status >= 400 and rows_written() != written else None
            if after and operation_id not in {"login", "refreshTokens"}:
                assert after == everything(), actor

    @pytest.mark.parametrize("operation_id", [name for name, rule in TABLE.items() if "{" in rule.path])
    def test_what_one_may_not_see_looks_like_what_does_not_exist(self, world: World, operation_id: str) -> None:
        rule = TABLE[operation_id]
        for actor in ACTORS:
            if rule.expected(actor) == 404:
                missing_ids = dict.fromkeys(world.ids, 10**9)
                hidden, missing = (call(world, rule, actor, **ids) for ids in ({}, missing_ids))
                for answer in (hidden, missing):
                    del answer.body["request_id"]
                assert (hidden.status, hidden.body) == (missing.status, missing.body), actor
