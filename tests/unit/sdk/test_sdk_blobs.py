import re
from pathlib import Path

import pytest

from gondwana.core.errors import InvalidBytes, NoSuchThing, TooLarge
from gondwana.sdk.blobs import PIECE_BYTES, WHOLE_BYTES_MAX, blob_name


class BlobStore:
    """What the API's blob routes do, kept in memory; may break off transfers."""

    def __init__(self, reply):
        self.reply = reply
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.lose_patch_answers = 0
        self.cut_downloads_after: int | None = None

    def __call__(self, request):
        name = re.search(r"/v1/blobs/(\w+)", request.path).group(1)
        return getattr(self, request.method.lower())(name, request)

    def head(self, name, request):
        if "upload=1" in request.path:
            return self.reply(headers={"Upload-Offset": str(len(self.uploads.get(name, b"")))})
        if name not in self.blobs:
            return self.reply(status=404)
        return self.reply(headers={"Content-Length": str(len(self.blobs[name]))})

    def put(self, name, request):
        self.blobs[name] = request.body
        return self.reply(status=204)

    def patch(self, name, request):
        have = self.uploads.get(name, b"")
        if int(request.headers["Upload-Offset"]) != len(have):
            return self.reply(status=409, headers={"Upload-Offset": str(len(have))})
        self.uploads[name] = have = have + request.body
        if len(have) == int(re.search(r"total=(\d+)", request.path).group(1)):
            self.blobs[name] = have
        if self.lose_patch_answers:
            self.lose_patch_answers -= 1
            return self.reply(status=503)
        return self.reply(status=204, headers={"Upload-Offset": str(len(have))})

    def get(self, name, request):
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        body = self.blobs[name][start:]
        cut, self.cut_downloads_after = self.cut_downloads_after, None
        return self.reply(status=206 if start else 200, body=body, cut_after=cut)


@pytest.fixture
def store(plane):
    plane.reply(None)
    plane.respond = BlobStore(type(plane.replies.pop()))
    return plane.respond


def methods(plane):
    return [request.method for request in plane.requests]


def test_a_small_blob_goes_in_one_piece_and_comes_back(plane, client, store):
    name = client.blobs.put(b"hello")
    assert name == blob_name(b"hello")
    assert client.blobs.get(name) == b"hello"
    assert methods(plane) == ["HEAD", "PUT", "HEAD", "GET"]


def test_bytes_that_are_there_already_are_not_sent_again(plane, client, store):
    client.blobs.put(b"hello")
    client.blobs.put(b"hello")
    assert methods(plane).count("PUT") == 1


def test_a_large_file_goes_in_pieces_and_goes_on_where_it_stopped(plane, client, store, tmp_path):
    data = bytes(range(251)) * (WHOLE_BYTES_MAX // 251 + 10_000)
    file = tmp_path / "large"
    file.write_bytes(data)
    store.uploads[blob_name(data)] = data[:PIECE_BYTES]
    seen: list[tuple[int, int]] = []
    name = client.blobs.put_file(file, progress=lambda *step: seen.append(step))
    assert store.blobs[name] == data
    sent = sum(len(request.body) for request in plane.requests if request.method == "PATCH")
    assert sent == len(data) - PIECE_BYTES
    assert seen[-1] == (len(data), len(data))


def test_a_lost_answer_to_a_piece_does_not_send_it_twice_into_the_blob(client, store):
    store.lose_patch_answers = 2
    data = b"ab" * WHOLE_BYTES_MAX
    assert store.blobs[client.blobs.put(data)] == data


def test_a_broken_download_is_taken_up_where_it_broke(plane, client, store, tmp_path):
    name = client.blobs.put(b"x" * 1000 + b"y" * 1000)
    store.cut_downloads_after = 700
    assert client.blobs.get_file(name, tmp_path / "file").read_bytes() == b"x" * 1000 + b"y" * 1000
    assert plane.requests[-1].headers["Range"] == "bytes=700-"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_part_left_by_an_earlier_download_is_used(plane, client, store, tmp_path):
    name = client.blobs.put(b"0123456789")
    Path(tmp_path / "file.part").write_bytes(b"01234")
    client.blobs.get_file(name, tmp_path / "file")
    assert plane.requests[-1].headers["Range"] == "bytes=5-"


def test_bytes_that_do_not_fit_the_name_are_refused_and_thrown_away(client, store, tmp_path):
    name = blob_name(b"good")
    store.blobs[name] = b"evil"
    with pytest.raises(InvalidBytes):
        client.blobs.get(name)
    with pytest.raises(InvalidBytes):
        client.blobs.get_file(name, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_blob_and_a_blob_too_large_are_told_apart(client, store):
    with pytest.raises(NoSuchThing):
        client.blobs.get(blob_name(b"nothing"))
    name = client.blobs.put(b"12345")
    with pytest.raises(TooLarge):
        client.blobs.get(name, bytes_max=4)
