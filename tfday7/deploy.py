"""Put a model on a device, check its answers there and measure it.

Not written yet: any call but --help exits 2.
"""

from tfday7.cli import not_written_yet

if __name__ == "__main__":
    not_written_yet("deploy", __doc__)
