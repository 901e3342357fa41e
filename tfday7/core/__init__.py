"""What every library shares: errors, settings, records, files, seeds, texts, and the one place that sets up Keras."""
