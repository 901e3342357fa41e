"""Does a run overfit or underfit, or is it broken? One check a file, each with its evidence; then one verdict.

Works on records alone and loads no TensorFlow.
"""

from tfday7.diagnosis.diagnosing import diagnose
from tfday7.diagnosis.records import Advice, Diagnosis, Finding

__all__ = ["Advice", "Diagnosis", "Finding", "diagnose"]
