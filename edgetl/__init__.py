"""edgetl: on-device transfer learning for cameras, the workstation's side."""

__version__ = "0.2.0"
