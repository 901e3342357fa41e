"""Starting a group of training processes on this machine, and the manifests that start one on a cluster.

What a process is told about its group is read by `tfday7.distribution.cluster`.
"""
