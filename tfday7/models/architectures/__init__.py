"""One architecture a file; see `tfday7.models.architecture` for the contract."""
