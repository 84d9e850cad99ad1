"""Seen red with the bug planted: a limit read and written in two steps, instead of one script."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.core import limits
from backend.core.limits import Limit, check, whose_address
from backend.core.redis_link import RedisLink

pytestmark = pytest.mark.usefixtures("limits_on")


def granted(limit: Limit, whose: str, times: int) -> int:
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda _: check([(limit, whose)]), range(times)))
    return sum(verdict.allowed for verdict in verdicts if verdict)


class TestCheck:
    def test_is_exact_under_parallel_calls(self) -> None:
        assert granted(Limit("test", 10, 3600), "anyone", 60) == 10

    def test_says_how_many_remain_and_when_to_come_back(self) -> None:
        limit, whose = Limit("test", 3, 60), "anyone"
        verdicts = [check([(limit, whose)]) for _ in range(4)]
        assert [(v.allowed, v.remaining) for v in verdicts if v] == [(True, 2), (True, 1), (True, 0), (False, 0)]
        assert verdicts[3] is not None
        assert 1 <= verdicts[3].retry_seconds <= 20

    def test_a_refused_request_counts_against_none_of_its_limits(self) -> None:
        tight, wide, whose = Limit("tight", 1, 3600), Limit("wide", 5, 3600), "anyone"
        for _ in range(10):
            check([(tight, whose), (wide, whose)])
        verdict = check([(wide, whose)])
        assert verdict is not None
        assert (verdict.allowed, verdict.remaining) == (True, 3)

    def test_without_redis_strict_limits_hold_and_the_others_let_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nobody = RedisLink("tests", timeout_s=0.2)
        nobody.client = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
        monkeypatch.setattr(limits, "_redis", nobody)
        assert granted(Limit("local", 10, 3600, strict=True), "anyone", 60) == 10
        assert check([(Limit("open", 1, 3600), "anyone")]) is None


class TestWhoseAddress:
    def test_counts_ipv6_by_what_one_subscriber_gets(self) -> None:
        assert whose_address("2001:db8::1") == whose_address("2001:db8::ffff:1") == "2001:db8::/64"
        assert whose_address("192.0.2.7") == "192.0.2.7"
