"""What a device sends of what it learned: chosen, made smaller by what the receiver has already, and delivered."""
