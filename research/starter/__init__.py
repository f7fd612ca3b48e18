"""How the starter bundle was made: the built-in backbone as int8, calibrated on rendered photos, without classes."""
