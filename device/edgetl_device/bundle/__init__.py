"""The one deployable file: its archive, its parts as objects, signatures, and what devices send back."""

__all__ = ["archive", "bundle", "content", "export", "signing"]
