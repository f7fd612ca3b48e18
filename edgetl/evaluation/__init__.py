"""A bundle against photos, and its explanations."""
