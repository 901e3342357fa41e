"""Ask for advice: which optimizer, which remedy, which compression, which distribution, and why.

Not written yet: any call but --help exits 2.
"""

from tfday7.cli import not_written_yet

if __name__ == "__main__":
    not_written_yet("advise", __doc__)
