"""A bundle against photos, and its explanations."""

__all__ = ["evaluate", "explain", "page", "shrinkage_audit"]
