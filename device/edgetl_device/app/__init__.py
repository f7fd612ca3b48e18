"""Frames → listeners: the running camera app. Threads live only here and in web/."""
