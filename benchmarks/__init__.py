"""Compares this provider with other custom resource handlers in one run. Results are reported as ratios."""
