"""Why a model overfits, underfits, is unstable or broken, and what helps, without a run. Loads no TensorFlow."""
