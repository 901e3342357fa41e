"""Export a model to TFLite, ONNX, OpenVINO, TensorRT, SavedModel or Keras 3, and verify each file.

    python -m tfday7.export --run_dir=runs/quickstart --formats=tflite,onnx,openvino
    python -m tfday7.export --model=mine.h5 --data=mine.npz --formats=tflite --kinds=float32,float16,int8
    python -m tfday7.export --model=mine.keras --formats=onnx --batch=dynamic

Each file is run again by its own runtime on the whole test set, and compared with the Keras model. Without --data a
model file is compared on made-up inputs, and int8, which is calibrated on data, is left out. Exit codes: 0 done, 2 a
mistake in the flags, the model or the data, 3 a file does not give the model's answers (the record says in which layer
they part), 130 interrupted, 143 preempted.
"""

from __future__ import annotations

from tfday7.cli import Command, OutputConfig, print_json
from tfday7.data.config import DataConfig
from tfday7.exporting.config import ModelExportConfig

COMMAND = Command("export", __doc__, [ModelExportConfig, DataConfig, OutputConfig])


def main() -> None:
    """Checks everything that can be checked cheaply, exports, and shows what held."""
    from tfday7 import reporting, stage_export
    from tfday7.exporting import exporting

    output = COMMAND.config(OutputConfig)
    given = any(COMMAND.flags[name].present for name in COMMAND.given(DataConfig))
    found = stage_export.source(COMMAND.config(ModelExportConfig), COMMAND.config(DataConfig) if given else None)
    if COMMAND.flags.only_check_args:
        return
    console = COMMAND.console()
    artefacts = stage_export.export(found, console.say, output.lang)
    records = [artefact.to_json() for artefact in artefacts]
    if output.json:
        print_json({"artefacts": records})
    else:
        console.print(reporting.export_summary(records, found.name, output.lang))
    exporting.check_gate(artefacts)


if __name__ == "__main__":
    COMMAND.run(main)
