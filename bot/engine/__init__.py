"""Carrying runs out: claim, lease, step, reconcile, reply."""
