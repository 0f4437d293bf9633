"""The only place that knows the database: connections, the one batching writer, migrations, rows.

What it owns: every transaction, the event log, idempotency keys, settings, and which blobs are still needed.
Its invariants: nothing is written outside a `Writer`; a result is delivered only after COMMIT; a failing call undoes
itself and nothing else; the event of a change is in the same transaction as the change; append-only tables stay so.

    database.Database         Database.open(path or URL) | .in_memory() -> .writer .reader() .shared_reader() .close()
    writer.Writer             submit(run, *args, **kwargs) -> Future; call(...) -> result; listen(listener); close()
                              (BatchingWriter: a thread, group commit. InlineWriter: the caller's thread)
    transaction.Reader        one(sql, params) -> Row | None; all(sql, params) -> rows; snapshot(); dialect
    transaction.Transaction   a Reader that also has execute(sql, params) -> rows changed, insert, insert_rows, emit,
                              savepoint
    checkpoint                a thread that empties SQLite's log into the file, so that no commit stalls over it
    errors                    Refused(reason) by a constraint or trigger; Denied to everybody; Failed: all is undone
    leadership                one leader at a time, whose term only grows; NotLeader to whoever led before
    queries.load_queries      SQL = load_queries(__package__); tx.all(SQL.reserved_before, {"instant": now})
    rows                      to_row(value) -> dict; from_row(Type, row) -> value
    conditional               expect_state(tx, query, id, state): a move happens only from where the mover saw the row
    events                    StoredEvent(seq, event); events_after(reader, after, limit=, job_id=); last_seq(reader)
    together                  together(reader, a, b): questions that are asked at once, in one round trip
    idempotency               idempotent(tx, IdempotencyKey(...), run, at=) -> response bytes, the same for ever
    settings                  read_setting(reader, key, Type, default=); write_setting(tx, key, value, at=)
    blob_references           hold_blob, release_blobs, held_blobs: what garbage collection must keep
    dialect                   what we write, which is SQLite's, as PostgreSQL's
    migrations/NNNN_*.sql     numbered, applied once, in order, never edited; all tables STRICT; translated for
                              PostgreSQL, unless NNNN_*.postgres.sql stands beside

Two databases (ADR 0007): `sqlite` and `postgres` each have a `Connection`; all else here is the same for both, and
psycopg is imported only where a postgresql:// URL is opened.

A call given to the writer gets the transaction first: `writer.call(submit, spec, now)` runs `submit(tx, spec, now)`.
`INSERT OR …`, `UPDATE OR …` and `REPLACE` are refused (they override the conflict handling of triggers): use
`ON CONFLICT (…) DO NOTHING | UPDATE`.
"""
