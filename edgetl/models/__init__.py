"""Any float classifier, whoever made it."""
