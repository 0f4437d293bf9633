"""Blobs leave the database beside them room to write."""

import shutil

import pytest

from gondwana.blobs import folder
from gondwana.blobs.folder import FolderStore
from gondwana.core.clock import SystemClock
from gondwana.core.errors import StorageFull


def test_the_last_of_a_disk_is_left_to_the_database(tmp_path, monkeypatch):
    store = FolderStore(tmp_path, SystemClock())
    store.put(b"fits")
    disk = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(folder, "FREE_BYTES_MIN", disk.total)
    monkeypatch.setattr(folder, "FREE_FRACTION", 1)
    with pytest.raises(StorageFull):
        store.put(b"does not")
    assert store.used_bytes() == len(b"fits")
