"""Measures artefacts on this machine: latency, interleaved so that noise hits all alike."""
