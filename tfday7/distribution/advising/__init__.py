"""How to spread a training run over devices: memory, strategy, mesh, accumulation and scaling. Loads no TensorFlow."""
