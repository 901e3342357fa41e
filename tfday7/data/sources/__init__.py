"""One source of examples a file; see `tfday7.data.source` for the contract."""
