"""The reverse auction: gangs, long and multi-owner orders ask, owners answer with sealed asks, all cleared together.

Invariants: a gang gets all its machines or none; nobody pays above his cap; nobody is paid less than he asked; the
sequence in which gangs are served never depends on a sealed ask; the same auction and
restarts give the same answer everywhere.
"""
