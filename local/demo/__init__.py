"""Demo: deploys, changes and deletes all three resource types locally with the real SAM CLI, and checks each result."""
