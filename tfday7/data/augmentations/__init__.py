"""Random changes of training inputs, one kind of data a file; see `tfday7.data.augmentation` for the contract."""
