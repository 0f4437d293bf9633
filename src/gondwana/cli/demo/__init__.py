"""The main job, end to end, on one machine: a control plane, four owners' agents, one model.

cast    the processes: who takes part, how they are started and ended
story   what happens: launch, a late joiner, a machine killed, the end, one machine alone for comparison
screen  what a person sees meanwhile
report  what came of it, for people and as JSON
"""
