"""The market alone, on virtual time, from one seed: orders, bids, leases and machines over crashes and two leaders.

Real are the database with its writer and terms, the API's routes, the book in memory, whose turn it is, placement,
auctions, the spot market, notices, and the reconcilers that drive them. Simulated are people, their machines' agents
and time. Whoever hears no answer asks again under the same key; calls come late, twice, and in another order; the
control plane dies before, between and after its commits, is led by another whose clock is minutes ahead or behind, and
matches by a book that is old.

    plane       the database and the processes that lead it
    desk        how people's calls reach it
    people      names, and chance
    owners      machines: what their owners do with them, and what they bid
    tenants     jobs of every kind, and quotas
    agents      machines at work: proofs of life, and what becomes of runs
    faults      what goes wrong with the control plane
    watch       every commit: states go by their tables, and what is reserved fits
    checks      devices, escrows, caps, quotas, the book, whose turn it is, what is overdue
    waiting     an oracle without a book: whoever could be served is not overlooked
    calm        the end: nobody waits longer than the leases in his way
    world       time and what happens; `run(seed)` plays one world

Invariants: the same seed gives the same digest; the oracle asks none of the rules that it judges.
"""
