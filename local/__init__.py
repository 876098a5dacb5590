"""A local AWS: the telecom services, the launcher of ministack, and the demo."""
