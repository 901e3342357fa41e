"""Puts a model on a device, as a bundle that needs nothing of tfday7; its answers and its speed are measured there."""
