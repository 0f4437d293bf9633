"""The supply side: machines, what was measured of them, whether they are alive, what they sell.

Invariants: a machine is `up` only while it proves to be alive; an offer is open only for a machine that is up; what
counts is measured, never claimed.
"""
