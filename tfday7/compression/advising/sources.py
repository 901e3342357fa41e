"""Where each sentence of the advice on compression comes from: papers, documentation, issues and our own measurements.

The table has every id of core/texts/compression.json that makes a claim; a test holds the two against each other.
"""

from __future__ import annotations

from tfday7.compression.advising.measured import DATE, DATE_CENTERED
from tfday7.core.texts import text

# Papers.
CLUSTERING = "Han, Mao & Dally, 2016, Deep Compression, arXiv:1510.00149"
CMSIS_NN = "Lai, Suda & Chandra, 2018, CMSIS-NN, arXiv:1801.06601"
DATA_FREE = "Nagel et al., 2019, arXiv:1906.04721"
DEPGRAPH = "Fang et al., 2023, DepGraph, arXiv:2301.12900"
DISTILLING = "Hinton, Vinyals & Dean, 2015, arXiv:1503.02531, section 2"
FILTERS = "Li et al., 2017, arXiv:1608.08710"
INTEGERS = "Jacob et al., 2018, arXiv:1712.05877"
LOW_RANK = "Denton et al., 2014, arXiv:1404.0736"
PRUNING = "Zhu & Gupta, 2017, arXiv:1710.01878"
SPARSE_CONVNETS = "Elsen et al., 2019, arXiv:1911.09723"
TWO_OF_FOUR = "Mishra et al., 2021, arXiv:2104.08378"
WHITE_PAPER = "Nagel et al., 2021, A White Paper on Neural Network Quantization, arXiv:2106.08295"
# Documentation.
DOT_PRODUCT = "Arm, Cortex-A72 and Cortex-A76 technical reference manuals (dot product instructions)"
DYNAMIC_XNNPACK = "blog.tensorflow.org/2024/04/faster-dynamically-quantized-inference-with-xnnpack.html"
EXPORTING = "docs/exporting.md"
GPU_DELEGATE = "ai.google.dev/edge/litert/performance/gpu"
INTEGER_16X8 = "ai.google.dev/edge/litert/models/post_training_quantization (16-bit activations)"
LITERT_KINDS = "ai.google.dev/edge/litert/models/post_training_quantization"
MICRO_TABLES = "tflite-micro, tensorflow/lite/micro/docs/compression.md"
NNAPI = "nnapi_delegate.cc and developer.android.com/ndk/reference/group/neural-networks"
OPENVINO_CPU = "docs.openvino.ai, CPU device: supported inference data types"
OPENVINO_SPARSE = "docs.openvino.ai, CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE"
QUANTIZER = "AI Edge Quantizer, README (weight-only recipes)"
TENSORRT = "docs.nvidia.com/deeplearning/tensorrt, Working with Quantized Types"
TENSORRT_SPARSE = "developer.nvidia.com/blog/accelerating-inference-with-sparsity-using-ampere-and-tensorrt"
VNNI = "Intel, Deep Learning with AVX-512 and DL Boost"
XNNPACK = "tflite/delegates/xnnpack/README.md of google-ai-edge/LiteRT"
# Issues.
CQAT_CLUSTERS = "tensorflow/model-optimization#1056"
MICRO_FLOAT16 = "tensorflow/tflite-micro#2587"
MICRO_HYBRID = "tensorflow/tflite-micro#757"
MICRO_INT16X8 = "tensorflow/tflite-micro#344"
NO_SPEED = "tensorflow/model-optimization#611, #173"
NO_SPEED_ARM = "tensorflow/model-optimization#704"
PCQAT_ZEROES = "tensorflow/model-optimization#979"
PQAT_DRIFT = "tensorflow/model-optimization#720, #721"
# Our own.
MEASURED = f"benchmarks/runtimes.py, {DATE}, Intel Xeon with AVX-512 VNNI, one thread"
CENTERED = f"benchmarks/layer_normalization.py, {DATE_CENTERED}, Intel Xeon with AVX-512 VNNI, one thread"
COMPRESSED = "benchmarks/results/compression.json (a ResNet-8 on Fashion-MNIST)"
ARITHMETIC, RULE = "{arithmetic}", "{rule}"  # In words, which `spoken` translates.

SOURCES: dict[str, tuple[str, ...]] = {
    "device.microcontroller": (CMSIS_NN, MICRO_HYBRID),
    "device.raspberry_pi": (XNNPACK,),
    "device.android_cpu": (XNNPACK,),
    "device.android_gpu": (GPU_DELEGATE,),
    "device.android_npu": (NNAPI,),
    "device.x86": (XNNPACK, MEASURED),
    "device.nvidia_gpu": (TENSORRT,),
    "device.intel": (OPENVINO_CPU, MEASURED),
    "operators.xnnpack": (XNNPACK,),
    "operators.gpu": (GPU_DELEGATE,),
    "operators.nnapi": (NNAPI,),
    "first.microcontroller": (MICRO_HYBRID, MICRO_FLOAT16),
    "first.android_npu": (NNAPI,),
    "first.android_gpu": (GPU_DELEGATE,),
    "first.nvidia_gpu": (TENSORRT,),
    "speed.shrink": (FILTERS, DEPGRAPH),
    "speed.low_rank": (LOW_RANK,),
    "speed.qat": (INTEGERS,),
    "speed.distil": (DISTILLING,),
    "speed.clusters": (CLUSTERING,),
    "speed.clusters.micro": (MICRO_TABLES,),
    "speed.pattern": (XNNPACK,),
    "speed.pattern.nvidia": (TWO_OF_FOUR, TENSORRT_SPARSE),
    "speed.dynamic": (DYNAMIC_XNNPACK,),
    "speed.dynamic.gpu": (GPU_DELEGATE,),
    "speed.weights": (QUANTIZER,),
    "speed.int16x8": (INTEGER_16X8,),
    "speed.int8.arm": (LITERT_KINDS, DOT_PRODUCT),
    "speed.int8.arm.rnn": (XNNPACK, MEASURED),
    "speed.int8.arm.transformer": (XNNPACK, CENTERED),
    "speed.int8.x86": (VNNI,),
    "speed.int8.x86.cnn": (MEASURED, VNNI),
    "speed.int8.x86.rnn": (MEASURED,),
    "speed.int8.x86.transformer": (CENTERED, XNNPACK),
    "speed.int8.micro": (CMSIS_NN,),
    "speed.int8.gpu": (GPU_DELEGATE,),
    "speed.int8.npu": (NNAPI,),
    "speed.int8.npu.rnn": (NNAPI,),
    "speed.int8.npu.transformer": (NNAPI,),
    "speed.int8.nvidia": (TENSORRT,),
    "speed.int8.nvidia.rnn": (EXPORTING,),
    "speed.int8.intel": (OPENVINO_CPU, VNNI),
    "speed.int8.intel.cnn": (MEASURED,),
    "speed.int8.intel.rnn": (MEASURED,),
    "speed.int8.intel.transformer": (MEASURED,),
    "speed.float16.arm": (XNNPACK,),
    "speed.float16.x86": (XNNPACK,),
    "speed.float16.gpu": (GPU_DELEGATE,),
    "speed.float16.gpu.rnn": (GPU_DELEGATE,),
    "speed.float16.nvidia": (TENSORRT,),
    "speed.float16.intel": (OPENVINO_CPU,),
    "speed.zeros": (XNNPACK, NO_SPEED),
    "speed.zeros.micro": (MICRO_TABLES,),
    "speed.zeros.gpu": (GPU_DELEGATE,),
    "speed.zeros.npu": (NNAPI,),
    "speed.zeros.nvidia": (TENSORRT_SPARSE,),
    "speed.zeros.intel": (OPENVINO_SPARSE, NO_SPEED),
    "speed.sparse.arm": (XNNPACK, SPARSE_CONVNETS, NO_SPEED_ARM),
    "speed.sparse.kind": (XNNPACK,),
    "speed.sparse.x86": (XNNPACK, NO_SPEED),
    "refused.micro.float16": (MICRO_FLOAT16,),
    "refused.micro.hybrid": (MICRO_HYBRID,),
    "refused.micro.int16x8": (MICRO_INT16X8,),
    "refused.micro.float32": (MICRO_HYBRID, CMSIS_NN),
    "refused.gpu.weights": (GPU_DELEGATE,),
    "refused.int16x8": (INTEGER_16X8,),
    "refused.npu": (NNAPI,),
    "refused.nvidia": (EXPORTING, TENSORRT),
    "refused.intel": (EXPORTING,),
    "missing.examples": (INTEGERS, DATA_FREE),
    "missing.teacher": (DISTILLING,),
    "missing.labels": (PRUNING, INTEGERS),
    "missing.training": (FILTERS, PRUNING),
    "missing.judge": (EXPORTING,),
    "too_large": (ARITHMETIC,),
    "behind": (RULE,),
    "memory.unpacked": (XNNPACK, QUANTIZER),
    "memory.shrink": (FILTERS,),
    "memory.int8": (INTEGERS,),
    "memory.int16x8": (INTEGER_16X8,),
    "memory.dynamic": (LITERT_KINDS,),
    "memory.low_rank": (LOW_RANK,),
    "memory.float16": (GPU_DELEGATE, TENSORRT),
    "why.bytes": (ARITHMETIC,),
    "why.sparse_file": (ARITHMETIC,),
    "why.packed": (CLUSTERING, COMPRESSED),
    "why.needs.nothing": (LITERT_KINDS,),
    "why.needs.examples": (INTEGERS,),
    "why.needs.teacher": (DISTILLING,),
    "why.needs.labels": (PRUNING, INTEGERS),
    "why.tight": (WHITE_PAPER, DISTILLING),
    "why.loose": (FILTERS,),
    "why.fits": (ARITHMETIC,),
    "why.not_fits": (ARITHMETIC,),
    "why.svd": (LOW_RANK,),
    "pro.float16": (LITERT_KINDS,),
    "con.float16": (XNNPACK,),
    "pro.dynamic": (LITERT_KINDS,),
    "con.dynamic": (LITERT_KINDS,),
    "pro.weight_int8": (QUANTIZER,),
    "con.weight_int8": (QUANTIZER,),
    "pro.weight_int4": (QUANTIZER,),
    "con.weight_int4": (WHITE_PAPER, QUANTIZER),
    "pro.int8": (INTEGERS,),
    "con.int8": (WHITE_PAPER,),
    "pro.int16x8": (INTEGER_16X8,),
    "con.int16x8": (INTEGER_16X8,),
    "pro.shrink": (FILTERS, DEPGRAPH),
    "con.shrink": (FILTERS, COMPRESSED),
    "pro.low_rank": (LOW_RANK,),
    "con.low_rank": (LOW_RANK,),
    "pro.zeros": (PRUNING, CLUSTERING),
    "con.zeros": (NO_SPEED,),
    "pro.sparse": (PRUNING, XNNPACK),
    "con.sparse": (NO_SPEED, SPARSE_CONVNETS),
    "pro.pattern": (TWO_OF_FOUR,),
    "con.pattern": (TWO_OF_FOUR,),
    "pro.clusters": (CLUSTERING,),
    "con.clusters": (CLUSTERING,),
    "pro.qat": (INTEGERS, WHITE_PAPER),
    "con.qat": (WHITE_PAPER,),
    "pro.distil": (DISTILLING,),
    "con.distil": (DISTILLING,),
    "together.pqat": (PQAT_DRIFT,),
    "together.cqat": (CQAT_CLUSTERS,),
    "together.pcqat": (PCQAT_ZEROES, CQAT_CLUSTERS),
    "together.shrink50_prune_int8": (DEPGRAPH,),
    "note.unlabelled": (DISTILLING,),
    "note.few_examples": (INTEGERS, RULE),
    "note.float_instead": (MEASURED, CENTERED),
    "note.gpu_float16": (GPU_DELEGATE,),
    "note.nvidia": (EXPORTING,),
    "note.nothing_yet": (NNAPI, MICRO_HYBRID),
}


def of(identifier: str, lang: str) -> str:
    """Returns the sources of a sentence in one line, in "en" or "zh"."""
    separator = text("compression.label.separator", lang)
    return separator.join(_spoken(source, lang) for source in SOURCES[identifier])


def _spoken(source: str, lang: str) -> str:
    return text(f"compression.source.{source[1:-1]}", lang) if source.startswith("{") else source
