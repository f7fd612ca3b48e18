"""Benchmarks: one script a question, peers in the same run. ``python -m benchmarks`` runs them all."""
