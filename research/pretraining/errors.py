"""The one error of pre-training that a user can cause."""

from edgetl_device.errors import EdgetlError


class PretrainingError(EdgetlError):
    """A wrong archive, folder or checkpoint; the message says what was expected, received and what to do."""
