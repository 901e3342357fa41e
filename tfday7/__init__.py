"""tfday7 takes a Keras model from a training run that can be trusted to an edge model that is proven equal.

The package reads in one direction: data -> models -> training -> diagnosis -> exporting -> benchmarking -> reporting.
Importing it loads neither TensorFlow nor Keras; `tfday7.core.frameworks` does that on first use.
"""

__version__ = "0.1.0"
