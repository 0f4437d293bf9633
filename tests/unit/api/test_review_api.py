"""What a caller may not do to the control plane, and what it never keeps."""

import http.client
import json
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from gondwana.api.bodies import BODY_BYTES_MAX
from gondwana.api.routes import blobs
from gondwana.core.errors import Exhausted
from gondwana.jobs import admit
from gondwana.sdk import Client


def post(served, path, body, *, chunked):
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=20)
    headers = {"authorization": f"Bearer {served.token}", "content-type": "application/json"}
    pieces = iter(body[at : at + 65536] for at in range(0, len(body), 65536))
    with suppress(ConnectionError):  # it may hang up before all was sent
        connection.request(
            "POST", path, pieces if chunked else body, headers, encode_chunked=chunked
        )
    try:
        return connection.getresponse().status
    except ConnectionError:
        return None
    finally:
        connection.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["said", "unsaid"])
def test_a_body_that_would_fill_the_memory_is_refused(served, chunked):
    body = json.dumps({"name": "x" * (BODY_BYTES_MAX + 1)}).encode()
    status = post(served, "/v1/jobs", body, chunked=chunked)
    assert status in (413, None)
    assert served.client.healthy()


def test_a_body_of_ordinary_size_is_read_however_it_is_sent(served):
    assert post(served, "/v1/jobs", b'{"name": "a"}', chunked=True) == 422


def test_a_new_tokens_secret_is_kept_nowhere(served):
    made = served.client.tokens.create("ann", ("tenant",))
    rows = served.world.reader.all("SELECT CAST(response AS TEXT) AS text FROM idempotency")
    assert made.token
    assert [row["text"] for row in rows if made.token in row["text"]] == []


def test_no_tenant_fills_the_queue_for_everybody(world, monkeypatch):
    monkeypatch.setattr(admit, "LIVE_JOBS_MAX", 3)
    world.join()
    for _ in range(3):
        world.submit()
    with pytest.raises(Exhausted):
        world.submit()


def test_nobody_uploads_without_end_and_an_hour_later_goes_on(world):
    allowance = world.plane.allowance
    allowance.charge("mac_kauri", 60, bytes_max=100)
    allowance.charge("mac_rimu", 60, bytes_max=100)
    with pytest.raises(Exhausted):
        allowance.charge("mac_kauri", 60, bytes_max=100)
    world.clock.advance(3600.0)
    allowance.charge("mac_kauri", 60, bytes_max=100)


def test_uploads_are_counted_to_who_sends_them(served, monkeypatch):
    monkeypatch.setattr(blobs, "PRINCIPAL_BYTES_MAX", 10)
    served.client.blobs.put(b"12345")
    with pytest.raises(Exhausted):
        Client(served.url, served.token, retries_max=0).blobs.put(b"1234567")
