-- Reservations that machines broke: they count in what is known of a machine.

CREATE INDEX booking_broken ON booking (machine_id, ended_at) WHERE state = 'broken';
