"""The whole life of all three types on a laptop, with the real SAM CLI; every claim it makes is checked."""
