-- What a posting moves is found through indexes, however large the books have grown since its plan was made: that plan
-- is kept, and one from the first days read every account at each posting, 6 ms at 15,000 accounts (ADR 0021).

ALTER FUNCTION ledger_transfers_move() SET enable_hashjoin = off;
ALTER FUNCTION ledger_transfers_move() SET enable_mergejoin = off;
