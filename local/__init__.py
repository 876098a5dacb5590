"""AWS on a laptop: the telecom services, the launcher and the demo."""
