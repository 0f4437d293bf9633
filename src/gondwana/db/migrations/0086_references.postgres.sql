-- References of rows that come by the hundred (leases, runs, postings) are checked once a statement. PostgreSQL's own
-- check looks up every row with a query of its own and locks what it finds, which writes it anew: a seventh of the time
-- of a lease (ADR 0021). What is referred to is never deleted and keeps its key, so nothing needs to be locked.

CREATE FUNCTION reference_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of "%" are referred to: they stay, and so do their keys', TG_TABLE_NAME
        USING ERRCODE = 'foreign_key_violation', TABLE = TG_TABLE_NAME;
END $$;

CREATE FUNCTION reference_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a row of "%" refers to never changes', TG_TABLE_NAME
        USING ERRCODE = 'foreign_key_violation', TABLE = TG_TABLE_NAME;
END $$;

DO $do$
DECLARE
    of_table TEXT;
    one RECORD;
    checks TEXT;
BEGIN
    FOREACH of_table IN ARRAY ARRAY['lease', 'run', 'ledger_entry', 'ledger_transfer'] LOOP
        checks := '';
        FOR one IN
            SELECT held.conname AS name, of_column.attname AS of_column, target.relname AS target, to_column.attname AS to_column
            FROM pg_constraint AS held
            JOIN pg_class AS target ON target.oid = held.confrelid
            JOIN pg_attribute AS of_column ON of_column.attrelid = held.conrelid AND of_column.attnum = held.conkey[1]
            JOIN pg_attribute AS to_column ON to_column.attrelid = target.oid AND to_column.attnum = held.confkey[1]
            WHERE held.contype = 'f' AND held.conrelid = of_table::regclass ORDER BY held.conname
        LOOP
            -- a subquery that yields a value is asked row by row, through the index: whole tables are never read
            checks := checks || format($check$
    IF EXISTS (SELECT FROM fresh WHERE %2$I IS NOT NULL
               AND (SELECT 1 FROM %3$I AS target WHERE target.%4$I = fresh.%2$I) IS NULL) THEN
        RAISE EXCEPTION 'insert on table "%1$s" violates foreign key constraint "%5$s"'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '%5$s', TABLE = '%1$s';
    END IF;$check$, of_table, one.of_column, one.target, one.to_column, one.name);
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', of_table, one.name);
            EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OF %I ON %I FOR EACH ROW
                WHEN (OLD.%2$I IS DISTINCT FROM NEW.%2$I) EXECUTE FUNCTION reference_is_fixed()',
                one.of_column || '_is_fixed', one.of_column, of_table);
        END LOOP;
        EXECUTE format('CREATE FUNCTION %I() RETURNS trigger LANGUAGE plpgsql
            SET search_path FROM CURRENT AS $body$ BEGIN %s RETURN NULL; END $body$', -- no table of the session's own
            of_table || '_refers', checks);
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I REFERENCING NEW TABLE AS fresh
            FOR EACH STATEMENT EXECUTE FUNCTION %1$I()', of_table || '_refers', of_table);
    END LOOP;

    FOREACH of_table IN ARRAY ARRAY['market_order', 'machine', 'offer', 'principal', 'job', 'lease', 'ledger_name',
        'ledger_account'] LOOP
        EXECUTE format('CREATE TRIGGER reference_stays BEFORE DELETE OR UPDATE OF id ON %I FOR EACH ROW
            EXECUTE FUNCTION reference_stays()', of_table);
        EXECUTE format('CREATE TRIGGER reference_stays_whole BEFORE TRUNCATE ON %I FOR EACH STATEMENT
            EXECUTE FUNCTION reference_stays()', of_table);
    END LOOP;
END $do$;

-- Room beside each row for its next version: what changes often then leaves the indexes alone (HOT).

ALTER TABLE job SET (fillfactor = 70);
ALTER TABLE market_order SET (fillfactor = 70);
ALTER TABLE lease SET (fillfactor = 70);
ALTER TABLE run SET (fillfactor = 70);
