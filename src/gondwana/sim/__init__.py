"""The whole network in one process, on virtual time, from one seed.

The control plane (database, links, reconcilers), the agents' core, the wire and the training arithmetic are the real
code. Simulated are only hardware, network, disks and people: `clock` orders what happens, `network` carries bytes
badly, `plane` gives the control plane its lives, `supply` and `demand` are owners and tenants, `hardware` and
`learning` do the work, `lies` are what dishonest machines deliver, `scenario` draws it all from the seed, and
`invariants` says what must hold. One run: `python -m gondwana.sim --seed N [--trace]`.

Invariants: the same seed gives the same events, bit for bit; nothing here sleeps, starts a thread, or asks the
operating system for time or chance.
"""
