"""An Android bundle: the model, Kotlin that feeds it exactly as it was fed when exported, and how to build with it."""

from tfday7.deploying.android.deploying import deploy

__all__ = ["deploy"]
