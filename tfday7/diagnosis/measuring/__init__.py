"""What is measured of a run beside its curves: its data before training, its layers while they learn."""
