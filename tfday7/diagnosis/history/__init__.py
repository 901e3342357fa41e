"""Histories of any program as evidence: dicts, files and TensorBoard logs. Loads no TensorFlow."""
