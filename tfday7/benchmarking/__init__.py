"""Measures artefacts on this machine, interleaved so that noise hits all alike: time, memory, size and accuracy."""
