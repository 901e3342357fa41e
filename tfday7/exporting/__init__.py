"""One format a file: converted in a child process, run again on the whole test set, compared with the Keras model."""

from tfday7.exporting.config import ExportConfig

__all__ = ["ExportConfig"]
