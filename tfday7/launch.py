"""Start a group of training processes on this machine, or write the manifests for a cluster.

Not written yet: any call but --help exits 2.
"""

from tfday7.cli import not_written_yet

if __name__ == "__main__":
    not_written_yet("launch", __doc__)
