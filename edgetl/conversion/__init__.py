"""Float model → proven bundle; compression; sweep."""
