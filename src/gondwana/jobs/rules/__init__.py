"""Decisions about jobs, by noun: `batch` (runs), `islands` (speed, price, who trains), `rounds` (units, phases)."""
