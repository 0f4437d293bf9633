-- What is checked of each new row costs less (ADR 0021).

-- The function is called where it has something to refuse, no longer for each account that is opened or moved. The
-- condition is as deep as what it stands in: 1 within ledger_transfers_move.

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
    SET search_path FROM CURRENT AS $$
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

-- The tenant of a job, and of an order, as 0086_references.postgres.sql has it of leases: looked up once a statement,
-- without locking what is found.

DO $do$
DECLARE of_table TEXT;
BEGIN
    FOREACH of_table IN ARRAY ARRAY['job', 'market_order'] LOOP
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', of_table, of_table || '_tenant_id_fkey');
        EXECUTE format('CREATE TRIGGER tenant_id_is_fixed BEFORE UPDATE OF tenant_id ON %I FOR EACH ROW
            WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION reference_is_fixed()', of_table);
        EXECUTE format($create$
CREATE FUNCTION %1$I() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $body$
BEGIN
    IF EXISTS (SELECT FROM fresh
               WHERE (SELECT 1 FROM principal AS target WHERE target.id = fresh.tenant_id) IS NULL) THEN
        RAISE EXCEPTION 'insert on table "%2$s" violates foreign key constraint "%2$s_tenant_id_fkey"'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '%2$s_tenant_id_fkey', TABLE = '%2$s';
    END IF;
    RETURN NULL;
END $body$
        $create$, of_table || '_refers', of_table);
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I REFERENCING NEW TABLE AS fresh
            FOR EACH STATEMENT EXECUTE FUNCTION %1$I()', of_table || '_refers', of_table);
    END LOOP;
END $do$;
