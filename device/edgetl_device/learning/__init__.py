"""Samples → gate → version: what a device does when it is taught."""

__all__ = ["drift", "gate", "learner"]
