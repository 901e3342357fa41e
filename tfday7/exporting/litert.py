from tfday7.runtimes.litert import LiteRT as LiteRTModel

__all__ = ["LiteRTModel"]
