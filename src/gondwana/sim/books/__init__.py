"""The ledger alone, on virtual time, from one seed: every kind of event, carried badly, over crashes and two leaders.

Real are the database, its one writer with its term, idempotency, the rules, posting, sealing and the audit. Simulated
are people, their network and time. People send what they want to the bank; a message may be late, twice, or lost with
its answer; the bank may die before or after its commit, or be led by another while the old leader still writes. Whoever
hears no answer asks again under the same key.

    bank        the database and the processes that lead it; answers a request once
    request     what is asked, and the verbs it can be asked with
    people      who asks for what: draws requests from what is there
    verbs_*     each verb: what people draw, what the bank posts, what must come of it, what people then know
    shadow      the books once more, as dicts: what the answers told so far
    world       time, the network, faults; `run(seed)` plays one world
    checks      what must hold after each step and at the end

Invariants: the same seed gives the same digest; no verb's expectation calls the rule that it is about.
"""
