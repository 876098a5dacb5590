"""`telephony verify`: experiments that decide assumptions of docs/unverified.md in a real account.

A new experiment is a function with the decorator `experiment`, in EXPERIMENTS of run.py. The rows that it decides are
marked in docs/unverified.md.
"""
