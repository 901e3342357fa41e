"""Which compression techniques suit a device, a budget and what there is to work with, and why. Loads no TensorFlow."""
