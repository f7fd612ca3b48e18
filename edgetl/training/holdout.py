"""How many held-out photos of each class go into a bundle."""

from __future__ import annotations

from edgetl_device.bundle.content import HOLDOUT_PER_CLASS

HOLDOUT_PHOTOS = 5000  # of all classes together: each is compared with all when a head is fitted


def most_of_a_class(classes: int) -> int:
    """Up to 100; of many classes fewer.

    >>> most_of_a_class(5), most_of_a_class(500)
    (100, 10)
    """
    return min(HOLDOUT_PER_CLASS, max(HOLDOUT_PHOTOS // max(classes, 1), 2))
