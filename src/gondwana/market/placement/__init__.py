"""Where a gang of machines goes: near each other, since a step waits for the slowest machine and the slowest link.

Pure. `coordinates` turns measured round trips into positions, `sites` tells which machines stand together, `rules` how
long a step takes; `sets` searches, `choose` decides. Whoever reserves looks at the machines again.
"""
