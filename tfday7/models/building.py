"""From `--model` to a tf_keras model that fits the problem.

`check` judges what can be judged without TensorFlow; `build` makes the model and checks the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfday7.core import user_code
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem, pixels
from tfday7.data.lazy import Inputs
from tfday7.models import door, raw_columns, transfer
from tfday7.models.architecture import ARCHITECTURES, Options
from tfday7.models.config import ModelConfig
from tfday7.models.door import tied
from tfday7.models.heads import TOGETHER

OTHER_FORMS = "keras.applications:NAME, python:MODULE:FUNCTION, or a model file (.keras, .h5, a SavedModel folder)"
LOGIT_UNIT = 4.0  # A logit of 4 is a probability of 0.98, about as rare as two deviations of a value.
SCALES = ("width", "depth", "dropout", "l2")


def check_name(config: ModelConfig) -> None:
    """Checks the name and the flags that go with it, without the data.

    Raises:
        UserError: an unknown name, a missing file, or flags that contradict each other.
    """
    if config.model.startswith(user_code.PREFIX):
        user_code.check_form(config.model, "model")
        _check_no_scales(config, _scales_of(config))
    elif transfer.is_application(config.model):
        transfer.check_name(config.model)
        _check_no_scales(config, SCALES if config.head == "own" else ("width", "depth", "l2"))
    elif is_file(config.model):
        if not _exists(config.model):
            raise UserError(f"--model={config.model}: no such file", f"or one of {', '.join(ARCHITECTURES.names())}")
        _check_no_scales(config, _scales_of(config))
    else:
        ARCHITECTURES.get(config.model, extra=OTHER_FORMS)
        if config.head != "auto":
            raise UserError(
                f"--head={config.head} contradicts --model={config.model}, whose last layer is made for the data",
                "leave --head out",
            )
    if config.pretrained and not transfer.is_application(config.model):
        raise UserError(
            f"--pretrained contradicts --model={config.model}", "only models of keras.applications come with weights"
        )


def implied_task(config: ModelConfig, task: str) -> str:
    """Returns what a model is to learn: the task asked for, or the only one that a named architecture learns.

    Raises:
        UserError: they contradict each other.
    """
    named = config.model in ARCHITECTURES.names()
    if not named and not transfer.is_application(config.model):
        return task
    only = ARCHITECTURES.get(config.model).task if named else ""
    if only and task not in ("auto", only):
        raise UserError(
            f"--task={task} contradicts --model={config.model}, which learns {only}", "leave one of the two out"
        )
    if task == "reconstruction" and not only:
        makers = [name for name in ARCHITECTURES.names() if ARCHITECTURES.get(name).task == task]
        raise UserError(
            f"--task=reconstruction contradicts --model={config.model}, which does not give its inputs again",
            f"use --model={' or '.join(makers)}, or a model of your own whose outputs have the shape of its inputs",
        )
    return only or task


def check(config: ModelConfig, problem: Problem) -> None:
    """Checks the name, and whether a named architecture takes this kind of data.

    Raises:
        UserError: as `check_name`, or the data does not fit; the hint lists the models that do.
    """
    check_name(config)
    implied_task(config, problem.task)
    if transfer.is_application(config.model):
        transfer.check(config.model, problem)
    if config.model not in ARCHITECTURES.names():
        return
    kinds = ARCHITECTURES.get(config.model).kinds
    if kinds and problem.kind not in kinds:
        every = {name: ARCHITECTURES.get(name) for name in ARCHITECTURES.names()}
        same_task = {name: found for name, found in every.items() if found.task == every[config.model].task}
        fitting = (name for name, found in same_task.items() if problem.kind in (found.kinds or (problem.kind,)))
        raise UserError(
            f"--model={config.model} takes {' or '.join(kinds)} data, but the examples have the shape "
            f"{problem.input_shape} ({problem.kind})",
            f"models for such data: {', '.join(fitting)}",
        )


def check_inputs(config: ModelConfig, inputs: Inputs) -> None:
    """Raises UserError when inputs are not the pixels from 0 to 1 that the weights of keras.applications are for.

    Args:
        config: which model.
        inputs: of the training split.
    """
    if config.pretrained:
        pixels.check(inputs, f"--model={config.model} with --pretrained", "--pretrained")


def is_file(model: str) -> bool:
    """Returns whether `--model` names a file or folder rather than an architecture."""
    if transfer.is_application(model):
        return False
    if model in ARCHITECTURES.names():  # A folder that happens to be called "cnn" does not hide the architecture.
        return False
    return "/" in model or Path(model).suffix in (".keras", ".h5", ".hdf5", ".tflite") or _exists(model)


def brings_weights(config: ModelConfig) -> bool:
    """Returns whether the model comes with weights; of a function's model that is not known."""
    return config.pretrained or is_file(config.model)


def build(config: ModelConfig, problem: Problem, precision: str = "float32", seed: int = 0) -> Any:
    """Returns a tf_keras model whose input and output fit the problem.

    Args:
        config: which model.
        problem: what it has to fit.
        precision: a Keras dtype policy; variables stay float32 under the mixed ones.
        seed: sets the initial weights.

    Raises:
        UserError: as `check`, or the model does not fit.
    """
    check(config, problem)
    keras.utils.set_random_seed(seed)
    if config.model.startswith(user_code.PREFIX):
        model = _loaded(_from_python(config.model, problem), config, problem, precision)
    elif is_file(config.model):
        model = _loaded(config.model, config, problem, precision)
    elif transfer.is_application(config.model):
        arguments = (config.model, problem, Options(0, 0, config.dropout), config.pretrained, config.head == "own")
        model = _under_policy(precision, lambda: transfer.build(*arguments), config.model)
    else:
        model = _from_architecture(config, problem, precision)
    model = _joined(model, problem) if problem.heads and len(model.outputs) == len(problem.heads) else model
    check_fits(model, problem, config.model)
    return model if model.outputs[0].dtype == "float32" else _with_float32_outputs(model)


def check_fits(model: Any, problem: Problem, name: str) -> None:
    """Raises UserError when the model's input or output shape is not the problem's."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        sides = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise UserError(f"--model={name} has {sides}; expected one of each")
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != len(problem.input_shape) or any(
        have not in (None, want) for have, want in zip(shape, problem.input_shape, strict=True)
    ):
        raise UserError(f"--model={name} takes inputs of shape {shape}; the examples have {problem.input_shape}")
    shape = tuple(model.outputs[0].shape[1:])
    if problem.task == "reconstruction":
        if shape != problem.input_shape:
            raise UserError(
                f"--model={name} gives outputs of shape {shape}; to give its inputs again: {problem.input_shape}"
            )
    elif shape != (problem.outputs,):
        what = {"classification": "classes", "multilabel": "labels"}.get(problem.task, "values to predict")
        if problem.heads:
            what = f"columns of targets ({', '.join(f'{head.name}: {head.outputs}' for head in problem.heads)})"
        raise UserError(f"--model={name} gives outputs of shape {shape}; the data has {problem.outputs} {what}")


def check_usable(model: Any, name: str) -> None:
    """Raises UserError for what neither training nor export can do with a model.

    Its inputs are strings, which no data set gives: all are numbers. Or a recurrent layer keeps its state from one
    batch to the next: examples are shuffled, batches have several sizes, and the state has one.
    """
    if any(given.dtype == tf.string for given in model.inputs):
        raise UserError(
            f"--model={name} takes strings; examples are numbers here, whether data gives them or they are made up",
            "give the part of it behind the layers that look the words up (StringLookup, TextVectorization)",
        )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise UserError(
                f"--model={name}: layer {layer.name!r} ({type(layer).__name__}) keeps state between batches",
                "save the model with stateful=False, for inputs of any number of examples",
            )


def _loaded(made: Any, config: ModelConfig, problem: Problem, precision: str) -> Any:
    """Returns a model that came from elsewhere, through the door; with a new head where that was asked for."""
    given = door.read(made, config.allow_unsafe_model)
    core = raw_columns.detach(given, problem.encoding, config.model)
    model = door.load(core, allow_unsafe=config.allow_unsafe_model, dtype_policy=precision)
    check_usable(model, config.model)
    tied.check_file(model)  # Now, not after training: every run ends with a file.
    if config.head != "new":
        return model
    options = Options(0, 0, config.dropout)
    return _under_policy(precision, lambda: transfer.with_new_head(model, problem, options), config.model)


def _joined(model: Any, problem: Problem) -> Any:
    """Returns a model of several outputs with one: theirs side by side, in the order of the targets.

    They meet in deviations, and logits in fours, and get their units back behind it, as our own architectures have it:
    an int8 file leaves that last step out, and has one scale for all of them.
    """
    if any(len(output.shape) != 2 for output in model.outputs):
        return model
    parts, means, stds = [], [], []
    for i, (head, output) in enumerate(zip(problem.heads, model.outputs, strict=True)):
        mean, std = 0.0, LOGIT_UNIT
        if head.target_mean is not None and head.target_std is not None:
            mean, std = float(head.target_mean[0]), float(head.target_std[0])
        even = keras.layers.Rescaling(1 / std, -mean / std, dtype="float32", name=f"tfday7_even_{i + 1}")
        parts.append(even(output))
        means += [mean] * output.shape[-1]
        stds += [std] * output.shape[-1]
    together = keras.layers.Concatenate(dtype="float32", name=TOGETHER)(parts)
    outputs = keras.layers.Rescaling(stds, means, dtype="float32", name="tfday7_outputs")(together)
    return keras.Model(model.inputs, outputs, name=model.name)


def _with_float32_outputs(model: Any) -> Any:
    """Returns the model with its last layers in float32, as our own architectures have them: the loss needs it."""

    def remake(layer: Any) -> Any:
        policy = {"dtype": "float32"} if layer.name in model.output_names else {}
        return layer.__class__.from_config({**layer.get_config(), **policy})

    remade = keras.models.clone_model(model, clone_function=remake)
    remade.set_weights(model.get_weights())
    return remade


def _from_architecture(config: ModelConfig, problem: Problem, precision: str) -> Any:
    found = ARCHITECTURES.get(config.model)
    options = Options(config.width or found.width, config.depth or found.depth, config.dropout, config.l2)
    what = f"{config.model} with --width={options.width} and --depth={options.depth}"
    return _under_policy(precision, lambda: found.build(problem, options), what)


def _under_policy(precision: str, make: Callable[[], Any], what: str) -> Any:
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(precision)
    try:
        return make()
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise UserError(
            f"--model={what} does not fit into memory", "use a smaller model, or a smaller --width or --depth"
        ) from error
    finally:
        keras.mixed_precision.set_global_policy(before)


def _from_python(name: str, problem: Problem) -> Any:
    function = user_code.find_function(name, "model")
    arguments = (problem.input_shape, problem.outputs)
    try:
        return function(*arguments)
    except Exception as error:
        raise UserError(
            f"--model={name}: {name.split(':')[2]}{arguments} failed ({user_code.describe(error)})",
            "it is called with (input_shape, outputs) and returns a Keras model",
        ) from error


def _exists(model: str) -> bool:
    try:
        return bool(model) and Path(model).exists()
    except OSError:  # A name that is too long for a file.
        return False


def _scales_of(config: ModelConfig) -> tuple[str, ...]:
    """Returns the scales that mean nothing to a model with layers of its own; a new head may have dropout before it."""
    return tuple(scale for scale in SCALES if scale != "dropout" or config.head != "new")


def _check_no_scales(config: ModelConfig, scales: tuple[str, ...]) -> None:
    for flag in scales:
        value = getattr(config, flag)
        if value:
            raise UserError(
                f"--{flag}={value} contradicts --model={config.model}, which brings its own layers",
                f"leave --{flag} out, or name one of {', '.join(ARCHITECTURES.names())}",
            )
