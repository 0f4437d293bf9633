-- A list of machines counts each one's units; without this, over all units there ever were.

CREATE INDEX unit_of_machine ON unit (machine_id, kind, state);
