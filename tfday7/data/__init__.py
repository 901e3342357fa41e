"""Where examples come from: `load(DataConfig(...))` gives a checked `Dataset`; `pipeline` turns it into `tf.data`.

A source is one file in `sources/`. Everything but `pipeline` works on NumPy arrays and loads no TensorFlow, so bad data
is refused within a second.
"""

from tfday7.data.config import DataConfig
from tfday7.data.dataset import Dataset, Examples, Problem
from tfday7.data.loading import load

__all__ = ["DataConfig", "Dataset", "Examples", "Problem", "load"]
