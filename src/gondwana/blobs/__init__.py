"""Bytes named by their own hash (BLAKE3, hexadecimal): whoever has the name can check the bytes.

What it owns: storing, resuming, verifying, reading ranges, making room. Who needs which is in the database.
Its invariants: a blob is either whole and verified or not there; the same bytes are stored once; nothing that is
referenced or young is removed; a full disk loses no blob and leaves no half one.

    base.BlobStore        put(bytes) -> name
                          begin(name, size) -> bytes here; append(name, offset, chunk) -> bytes here; finish(name)
                          received(name); abandon(name)
                          read(name, start=0, length=None) -> bytes; open(name) -> file; size(name) -> int | None
                          collect(referenced, older_than=) -> names removed; also drops uploads untouched since
    folder.FolderStore    FolderStore(root, clock, limits=): files in 256 folders
    memory.MemoryStore    MemoryStore(clock, limits=): the twin for simulation; passes the same tests
"""
