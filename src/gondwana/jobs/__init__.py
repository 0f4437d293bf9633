"""The life of a job: admission, machines, runs or training rounds, the end. Composes market, supply, ledger, proof.

Invariants: a job has one end, with a typed reason; a run or unit belongs to one lease and ends once; a unit is paid
when it is accepted and never twice; what a job set aside and did not spend goes back when it ends.
"""
