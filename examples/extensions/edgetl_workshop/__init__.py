"""What a workshop adds to edgetl: a head, a camera and a sink, named in ``pyproject.toml``."""
