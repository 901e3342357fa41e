"""Search for the best optimizer and hyperparameters with keras-tuner.

Not written yet: any call but --help exits 2.
"""

from tfday7.cli import not_written_yet

if __name__ == "__main__":
    not_written_yet("tune", __doc__)
