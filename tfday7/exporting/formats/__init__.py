"""The formats that a model is exported to, one a file; each registers itself in `tfday7.exporting.format`."""
