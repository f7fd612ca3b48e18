"""To devices and back: bundles out, statistics in, merged."""
