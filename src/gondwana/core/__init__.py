"""The ground everything stands on: ids, money, units, clock, randomness, errors, events.

Standard library only. Time and randomness are values that are passed in, never read from here,
so that the whole network can run in simulated time from one seed.
"""
