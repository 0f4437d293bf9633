-- What is checked for some hundred new rows looks up some hundred others. A plan that is made once a session cannot know
-- how large the tables will be: it read all accounts three times and all transfers once for each statement, 19 of its
-- 24 ms where there were 20,000, and one made while a table was empty would go on reading all of it. So the functions
-- that do this always go through an index.

DO $do$
DECLARE name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['ledger_transfers_move', 'ledger_entries_come_after_the_seal', 'ledger_entry_refers',
        'ledger_transfer_refers', 'run_refers'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET enable_seqscan = off', name);
        EXECUTE format('ALTER FUNCTION %I() SET enable_hashjoin = off', name);
        EXECUTE format('ALTER FUNCTION %I() SET enable_mergejoin = off', name);
    END LOOP;
END $do$;

-- The function is called where it has something to refuse, no longer for each account that is opened or moved. A trigger
-- is as deep here as where it stands: 1 within ledger_transfers_move.

DROP TRIGGER ledger_account_follows ON ledger_account;
CREATE TRIGGER ledger_account_begins_empty BEFORE INSERT ON ledger_account FOR EACH ROW
    WHEN (NEW.debits_posted <> 0 OR NEW.credits_posted <> 0 OR NEW.debits_pending <> 0 OR NEW.credits_pending <> 0)
    EXECUTE FUNCTION ledger_account_follows();
CREATE TRIGGER ledger_account_follows BEFORE UPDATE ON ledger_account FOR EACH ROW
    WHEN (pg_trigger_depth() < 1 OR NEW.id <> OLD.id OR NEW.name <> OLD.name OR NEW.code <> OLD.code
        OR NEW.limit_side <> OLD.limit_side OR NEW.asset <> OLD.asset
        OR NEW.debits_posted < OLD.debits_posted OR NEW.credits_posted < OLD.credits_posted)
    EXECUTE FUNCTION ledger_account_follows();

-- Two look-ups tell of a lease what four did: an order is its tenant's and an offer its machine's, which are checked by
-- references of their own. Only where one of the two finds nothing is each looked up.

CREATE OR REPLACE FUNCTION lease_refers() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM fresh
        WHERE (SELECT 1 FROM market_order AS target
               WHERE target.id = fresh.order_id AND target.tenant_id = fresh.tenant_id) IS NULL
            OR (SELECT 1 FROM offer AS target
                WHERE target.id = fresh.offer_id AND target.machine_id = fresh.machine_id) IS NULL) THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM fresh WHERE (SELECT 1 FROM machine AS target WHERE target.id = fresh.machine_id) IS NULL) THEN
        RAISE EXCEPTION 'insert on table "lease" violates foreign key constraint "lease_machine_id_fkey"'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_machine_id_fkey', TABLE = 'lease';
    END IF;
    IF EXISTS (SELECT FROM fresh WHERE (SELECT 1 FROM offer AS target WHERE target.id = fresh.offer_id) IS NULL) THEN
        RAISE EXCEPTION 'insert on table "lease" violates foreign key constraint "lease_offer_id_fkey"'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_offer_id_fkey', TABLE = 'lease';
    END IF;
    IF EXISTS (SELECT FROM fresh WHERE (SELECT 1 FROM market_order AS target WHERE target.id = fresh.order_id) IS NULL) THEN
        RAISE EXCEPTION 'insert on table "lease" violates foreign key constraint "lease_order_id_fkey"'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_order_id_fkey', TABLE = 'lease';
    END IF;
    IF EXISTS (SELECT FROM fresh WHERE (SELECT 1 FROM principal AS target WHERE target.id = fresh.tenant_id) IS NULL) THEN
        RAISE EXCEPTION 'insert on table "lease" violates foreign key constraint "lease_tenant_id_fkey"'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'lease_tenant_id_fkey', TABLE = 'lease';
    END IF;
    RETURN NULL;
END $$;
