"""Measure exported files: latency, memory, size and accuracy on every runtime.

Not written yet: any call but --help exits 2.
"""

from tfday7.cli import not_written_yet

if __name__ == "__main__":
    not_written_yet("benchmark", __doc__)
