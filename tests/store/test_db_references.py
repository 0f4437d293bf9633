"""What a row refers to is there, and stays: on both databases, whichever way they check it."""

import psycopg
import pytest

from gondwana.core.clock import Instant
from gondwana.core.ids import JobId, LeaseId, MachineId, OfferId, OrderId, PrincipalId
from gondwana.core.values import replace
from gondwana.db.database import Database
from gondwana.db.errors import Refused
from gondwana.db.many import insert_values
from gondwana.db.rows import to_row
from gondwana.jobs import store
from gondwana.ledger import rules
from gondwana.ledger.store import post_all
from gondwana.market import store as market

LEASE = {
    "order_id": OrderId("ord_none"), "tenant_id": PrincipalId("pri_none"), "machine_id": MachineId("mac_none"),
    "offer_id": OfferId("off_none"),
}  # fmt: skip
RUN = {"job_id": JobId("job_none"), "lease_id": LeaseId("lea_none")}
NOW = Instant(1_000.0)
READ = """SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
    WHERE relname = ?"""
REFERRED = ("market_order", "machine", "offer", "principal", "job", "lease")


@pytest.fixture
def world(database, make_world):
    """With a lease that runs."""
    world = make_world(database)
    world.join()
    job = world.submit()
    world.reconcile()
    (world.lease,) = market.leases_of_job(world.reader, job.id)
    (world.run,) = store.runs_of_job(world.reader, job.id)
    return world


def more(world, count, **changes):
    """Leases like the one that runs, but with other ids and epochs; the last one with these changes."""
    leases = [
        replace(world.lease, id=LeaseId(f"lea_{n:04d}"), epoch=world.lease.epoch + n)
        for n in range(1, count + 1)
    ]
    return [*leases[:-1], replace(leases[-1], **changes)]


@pytest.mark.parametrize("count", [1, 3, 200])
@pytest.mark.parametrize("column", LEASE)
def test_no_lease_refers_to_what_is_not_there_however_many_come_with_it(world, column, count):
    leases = more(world, count, **{column: LEASE[column]})
    with pytest.raises(Refused, match=r"(?i)foreign key"):
        world.write(lambda tx: insert_values(tx, "lease", leases))
    assert market.leases(world.reader, [each.id for each in leases]) == []
    leases = more(world, count)
    world.write(lambda tx: insert_values(tx, "lease", leases))
    assert len(market.leases(world.reader, [each.id for each in leases])) == count


def test_no_job_and_no_order_is_of_a_tenant_that_is_not_there(world):
    job = store.job(world.reader, world.lease.job_id)
    order = market.order(world.reader, world.lease.order_id)
    for table, known in (("job", job), ("market_order", order)):
        another = replace(known, id="another")
        both = [another, replace(known, id="third", tenant_id=PrincipalId("pri_none"))]
        with pytest.raises(Refused, match=r"(?i)foreign key"):
            world.write(lambda tx, table=table, both=both: insert_values(tx, table, both))
        change = f"UPDATE {table} SET tenant_id = 'pri_none' WHERE id = ?"
        with pytest.raises(Refused):
            world.write(lambda tx, sql=change, key=known.id: tx.execute(sql, [key]))
        world.write(lambda tx, table=table, each=another: insert_values(tx, table, [each]))


@pytest.mark.parametrize("column", RUN)
def test_no_run_refers_to_what_is_not_there(world, column):
    run = replace(world.run, id="run_other", **{column: RUN[column]})
    with pytest.raises(Refused, match=r"(?i)foreign key"):
        world.write(lambda tx: insert_values(tx, "run", [run]))


@pytest.mark.parametrize("column", LEASE)
def test_a_lease_that_is_stored_again_refers_to_nothing_new_that_is_not_there(world, column):
    changed = replace(world.lease, **{column: LEASE[column]})
    with pytest.raises(Refused):
        world.write(lambda tx: tx.execute(market.SQL.save_lease, to_row(changed)))
    assert market.lease(world.reader, world.lease.id) == world.lease


@pytest.mark.parametrize("table", REFERRED)
def test_what_is_referred_to_is_not_deleted_and_keeps_its_key(world, table):
    for sql in (f"DELETE FROM {table}", f"UPDATE {table} SET id = id || 'x'"):
        with pytest.raises(Refused):
            world.write(lambda tx, sql=sql: tx.execute(sql))


@pytest.mark.parametrize("table", REFERRED)
def test_not_even_the_owner_of_the_tables_empties_what_is_referred_to(postgres_url, table):
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET search_path = gondwana")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(f"TRUNCATE {table} CASCADE")


def test_a_posting_reads_no_more_accounts_than_it_moves_however_the_books_have_grown(postgres_url):
    def deposits(kind, count):
        return [rules.deposit("bank", f"{kind}{n}", 1_000, key=f"{kind}-{n}") for n in range(count)]

    def rows_read(tx):
        return [tx.one(READ, (table,))["rows"] for table in ("ledger_account", "ledger_entry")]

    def post_one(tx):
        before = rows_read(tx)  # of the whole session
        post_all(tx, deposits("last", 1), NOW)
        return [now - then for now, then in zip(rows_read(tx), before, strict=True)]

    with Database.open(postgres_url, inline=True) as database:
        database.writer.call(post_all, deposits("first", 500), NOW)  # what is planned now is kept
        database.writer.call(post_all, deposits("more", 3_000), NOW)
        accounts, entries = database.writer.call(post_one)
    assert 2 <= accounts < 20
    assert entries < 20
