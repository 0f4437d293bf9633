"""Reconcilers: each takes nothing but the database, the blobs and the clock, does what is due, and may run twice.

One file each. A crash anywhere is continued by the next pass, not repaired. `run_all` is one pass of all of them, in an
order that lets a new job go from submitted to assigned in one pass.
"""
