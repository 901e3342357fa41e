"""Export a model to TFLite, ONNX, OpenVINO, TensorRT or SavedModel, and verify each file.

Not written yet: any call but --help exits 2.
"""

from tfday7.cli import not_written_yet

if __name__ == "__main__":
    not_written_yet("export", __doc__)
