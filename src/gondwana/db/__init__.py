"""The only place that knows the database: connections, the one batching writer, migrations, rows.

What it owns: every transaction, the event log, idempotency keys, settings, and which blobs are still needed.
Its invariants: nothing is written outside a `Writer`; a result is delivered only after COMMIT; a failing call undoes
itself and nothing else; the event of a change is in the same transaction as the change; append-only tables stay so.

    database.Database         Database.open(path) | Database.in_memory() -> .writer .reader() .shared_reader() .close()
    writer.Writer             submit(run, *args, **kwargs) -> Future; call(...) -> result; listen(listener); close()
                              (BatchingWriter: a thread, group commit. InlineWriter: the caller's thread)
    transaction.Reader        one(sql, params) -> Row | None; all(sql, params) -> list[Row]; snapshot()
    transaction.Transaction   a Reader that also has execute(sql, params) -> rows changed, insert, emit, savepoint
    queries.load_queries      SQL = load_queries(__package__); tx.all(SQL.reserved_before, {"instant": now})
    rows                      to_row(value) -> dict; from_row(Type, row) -> value
    conditional               expect_state(tx, query, id, state): a move happens only from where the mover saw the row
    events                    StoredEvent(seq, event); events_after(reader, after, limit=, job_id=); last_seq(reader)
    idempotency               idempotent(tx, IdempotencyKey(...), run, at=) -> response bytes, the same for ever
    settings                  read_setting(reader, key, Type, default=); write_setting(tx, key, value, at=)
    blob_references           hold_blob, release_blobs, held_blobs: what garbage collection must keep
    migrations/NNNN_*.sql     numbered, applied once, in order, never edited; all tables STRICT

A call given to the writer gets the transaction first: `writer.call(submit, spec, now)` runs `submit(tx, spec, now)`.
`INSERT OR …`, `UPDATE OR …` and `REPLACE` are refused (they override the conflict handling of triggers): use
`ON CONFLICT (…) DO NOTHING | UPDATE`.
"""
