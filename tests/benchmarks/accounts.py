"""Signing in, staying signed in, one's own profile and photo: all that signing in costs, its limits included."""

import asyncio
import io
import os
import random
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from PIL import Image

from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.http import Load, drive, request
from tests.benchmarks.machine import SERVER_CORE, cpu_seconds, pin
from tests.benchmarks.stage import Bench, Platform

GROUP = "accounts"
PASSWORD = "correct horse battery"
PICTURE = (4000, 3000)
"""Twelve megapixels."""


def run(bench: Bench) -> None:
    with bench.platform("backend", BACKEND_WORKERS="1", LOG_LEVEL="WARNING") as platform:
        pin(platform.pid("backend"), SERVER_CORE)
        asyncio.run(_run(bench, platform))


async def _run(bench: Bench, platform: Platform) -> None:
    from backend.core.passwords import Argon2id  # Django is set up from here on

    hasher, spent = Argon2id(), []
    encoded = hasher.encode(PASSWORD, hasher.salt())
    for _ in range(20):
        began = time.perf_counter()
        hasher.verify(PASSWORD, encoded)
        spent.append((time.perf_counter() - began) * 1000)
    tag, count = f"door{random.randrange(10**9)}-", bench.pick(400, 100)
    with platform.database() as database:
        people = world.people(database, tag, "client", count)
        database.execute("UPDATE accounts_user SET password = %s WHERE username LIKE %s", [encoded, f"{tag}%"])
        database.execute("VACUUM ANALYZE accounts_user, accounts_session")
    parameters = f"Argon2id, m = {hasher.memory_cost // 1024} MiB, t = {hasher.time_cost}, p = {hasher.parallelism}"
    bench.add(GROUP, f"one password hash ({parameters}), median", median(spent), "ms")
    signed_in = await _measure(bench, platform, "sign in", [_sign_in(f"{tag}{n + 1}", n) for n in range(count)])
    tokens = [msgspec.json.decode(body)["refresh"] for body in signed_in.bodies]
    refreshes = [_post("token/refresh", n, {"refresh": token}) for n, token in enumerate(tokens)]
    await _measure(bench, platform, "refresh the tokens", refreshes)
    mine = [request("GET", "/api/v1/me/", platform.token(*one, "client")) for one in people]
    await _measure(bench, platform, "GET /me/", mine * bench.pick(8, 6))
    picture = _picture()
    me = platform.token(*people[0], "client")
    title = f"a photo of 12 megapixels ({len(picture) / 2**20:.1f} MiB), uploaded to ready"
    await _measure(bench, platform, title, [_upload(me, picture)] * bench.pick(20, 6))


async def _measure(bench: Bench, platform: Platform, title: str, requests: Sequence[bytes]) -> Load:
    """One after the other, after a few that warm up."""
    address, pid = platform.address("backend"), platform.pid("backend")
    warm = len(requests) // 10 + 1
    load = await drive(address, requests[:warm], connections=1)
    before = cpu_seconds([pid], ended_too=True)  # decoders of pictures have ended by then
    measured = await drive(address, requests[warm:], connections=1)
    spent = cpu_seconds([pid], ended_too=True) - before
    if set(load.statuses) | set(measured.statuses) != {200}:
        raise RuntimeError(f"{title}: {dict(measured.statuses)} {measured.last_body[:300]!r}")
    bench.add(GROUP, f"{title}, median", median(measured.milliseconds), "ms")
    bench.add(GROUP, f"{title}, p95", percentile(measured.milliseconds, 0.95), "ms")
    bench.add(GROUP, f"{title}, CPU", spent / (len(requests) - warm) * 1000, "ms")
    return measured


def _sign_in(username: str, n: int) -> bytes:
    return _post("login", n, {"identifier": username, "password": PASSWORD})


def _post(what: str, n: int, body: dict[str, Any]) -> bytes:
    """From a phone with an address of its own."""
    return request("POST", f"/api/v1/auth/{what}/", "", body, X_Forwarded_For=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")


def _picture() -> bytes:
    """A photograph's worth of detail: soft shapes with some grain, as a camera's JPEG."""
    width, height = PICTURE
    rng = random.Random(7)
    shapes = Image.frombytes("RGB", (80, 60), rng.randbytes(80 * 60 * 3)).resize(PICTURE, Image.Resampling.BICUBIC)
    grain = Image.frombytes("RGB", PICTURE, os.urandom(width * height * 3))
    out = io.BytesIO()
    Image.blend(shapes, grain, 0.05).save(out, "JPEG", quality=85)
    return out.getvalue()


def _upload(token: str, picture: bytes) -> bytes:
    boundary = "photo"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="me.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode() + picture + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
    head = request("PUT", "/api/v1/me/photo/", token, Content_Length=str(len(body)),
                   Content_Type=f"multipart/form-data; boundary={boundary}")  # fmt: skip
    return head + body
