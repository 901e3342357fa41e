"""What a target (XNNPACK, a phone's GPU, an int8 accelerator, OpenVINO) accelerates of a file, what not, and why."""

from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, OpVerdict, Remark

__all__ = ["TARGETS", "Judgement", "OpVerdict", "Remark"]
