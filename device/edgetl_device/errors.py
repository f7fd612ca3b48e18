"""The whole error tree.

EdgetlError                 anything edgetl refuses; one line: what was expected, what came, what to do next
├── InputError              wrong usage or bad input                                     exit code 2
│   ├── PhotoError          a photo that cannot be read
│   ├── BundleError         a file that is not a bundle, is damaged, or is too new
│   ├── SignatureError      not signed, or not by the key that is trusted here; or older than what is installed
│   ├── MismatchError       embeddings or statistics that belong to another backbone
│   ├── CameraError         a camera that is not there, cannot be used, or stopped sending frames
│   ├── HomeError           the device home lacks something or cannot be used
│   └── RuntimeMissingError no TFLite runtime, or one that cannot run this backbone
├── HeadError               no head can be computed from what is known                   exit code 2
├── StorageError            the disk is full, read-only or failing                       exit code 2
└── CheckFailedError        a check said no: parity, promotion gate, self-check          exit code 1
"""

from __future__ import annotations

NO_MEMORY = "not enough memory: close other programs, or allow this one more (`MemoryMax=` of a service)"


class EdgetlError(Exception):
    """Base of every error edgetl raises on purpose; ``str(error)`` is one line for a person."""

    exit_code = 2


class InputError(EdgetlError):
    """Wrong usage or bad input."""


class PhotoError(InputError):
    """A photo that cannot be read."""


class BundleError(InputError):
    """A file that is not a bundle, is damaged, or was written by a newer edgetl."""


class SignatureError(InputError):
    """Not signed, or not by the key that is trusted here; or older than what is installed."""


class MismatchError(InputError):
    """Embeddings or statistics that belong to another backbone."""


class CameraError(InputError):
    """A camera that is not there, cannot be used, or stopped sending frames; the message names the fix."""


class HomeError(InputError):
    """The device home lacks something, or cannot be used."""


class RuntimeMissingError(InputError):
    """No TFLite runtime, or one that cannot run this backbone."""


class HeadError(EdgetlError):
    """No head can be computed from what is known: numbers that no samples give, or too little memory."""


class StorageError(EdgetlError):
    """The disk is full, read-only or failing."""


class CheckFailedError(EdgetlError):
    """A check said no: parity, promotion gate, self-check."""

    exit_code = 1
