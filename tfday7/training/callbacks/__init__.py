"""One callback a file. Those that remember something offer `get_state` and `set_state`, for resumed runs."""
