"""Starts ministack with the deviations corrected that would make a result lie; runs on the `local` environment."""
