"""Make a model smaller and faster within a budget of accuracy, size and latency.

Not written yet: any call but --help exits 2.
"""

from tfday7.cli import not_written_yet

if __name__ == "__main__":
    not_written_yet("compress", __doc__)
