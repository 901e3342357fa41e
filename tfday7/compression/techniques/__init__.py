"""The techniques, one per file: each reads its settings from a recipe's step and changes a `Work`."""
