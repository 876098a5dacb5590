"""`make bench`: this provider beside what people use today, side by side in one run, ratios only."""
