-- Who commits looks in the same message whether the term is still his (ADR 0022): one round trip less for each commit.

CREATE FUNCTION hold_term(mine BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM leadership WHERE term = mine FOR SHARE;  -- whoever would take over waits until this has ended
    IF NOT FOUND THEN
        RAISE EXCEPTION 'leadership.lost';
    END IF;
END $$;
