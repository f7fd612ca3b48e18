"""What many devices sent → of each the one that counts → a new bundle, exactly."""
