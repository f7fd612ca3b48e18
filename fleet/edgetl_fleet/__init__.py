"""edgetl-fleet: federated rounds on Flower, with the exact sums of edgetl."""

__version__ = "0.2.0"
