"""Evaluates the policies of template.yaml against calls, as AWS does."""
