"""What is measured of a run beside its curves: its data, and its layers while they learn."""
