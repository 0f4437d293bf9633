"""The composition root: the only place that wires the control plane's parts together."""
