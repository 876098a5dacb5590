"""Starts ministack with corrections of its deviations from AWS; runs in the `local` environment."""
