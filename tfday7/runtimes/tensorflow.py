"""Runs a SavedModel, or a Keras 3 file, in TensorFlow: as a graph, or compiled by XLA."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.runtimes.runner import Runner, Tensor
from tfday7.runtimes.table import RUNTIMES, one_of_each

SIGNATURE = "serving_default"
# What a model has no reason to do when it is called: reach for files, other processes, Python, or a terminal.
REFUSED = re.compile(
    r"Abort|Checkpoint|CustomCall|Dataset|Debug|File|FixedUnigram|ImmutableConst|Iterator|Print|Proto|PyFunc|Reader|Remap|"
    r"RemoteCall|Restore|Rpc|Save|Socket|Summary|^_?Recv|^_?Send"
)
# Of the operators that TensorFlow says have an effect, those that models are made of; any other is refused.
EFFECTS = re.compile(
    r"(Anonymous)?(Mutable)?(Dense)?HashTable(OfTensors)?(V2)?|LookupTable\w+|InitializeTable(V2)?|VarHandleOp|Variable(V2)?|"
    r"VarIsInitializedOp|ReadVariableOp|Assign(Add|Sub)?VariableOp|Resource(Gather|Scatter)\w*|DestroyResourceOp|"
    r"StatefulPartitionedCall|While|If|Case|Placeholder\w*|Random(Uniform|StandardNormal|Gamma|Poisson|Shuffle)\w*|"
    r"Multinomial|\w*TruncatedNormal|Stateful(Uniform|StandardNormal|TruncatedNormal|Random)\w*|Rng\w+|TensorArray\w*|Assert"
)
_MOST_BYTES = 2_000_000_000  # Of a SavedModel's graph: a protocol buffer cannot be larger.
_FREE_BYTES, _PER_STORED_BYTE = 256_000_000, 4  # Of its constants, which a few bytes may blow up.
# What TensorFlow raises for a SavedModel whose parts do not fit together.
_MISFIT = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, AssertionError)
CALLED = (SIGNATURE, "__saved_model_init_op")  # The other signatures save and restore the variables: nobody runs them.


@RUNTIMES.register("tensorflow")
class TensorFlow(Runner):
    """See `Runner`. Threads can be set in a process that has not used TensorFlow yet, and only there."""

    name = "tensorflow"
    suffixes = ("", ".keras")
    compile_with_xla = False

    def __init__(self, path: Path, threads: int = 1, device: str = "cpu", batch_size: int = 1) -> None:
        super().__init__(path, threads, device, batch_size)
        set_threads(threads)
        if device == "gpu" and not tf.config.list_physical_devices("GPU"):
            raise UserError("TensorFlow finds no GPU on this machine")
        self._placed = f"/{device.upper()}:0"
        with tf.device(self._placed):
            function, given, made = _keras3(path) if path.suffix == ".keras" else _saved_model(path)
            self._function = tf.function(function, jit_compile=self.compile_with_xla, reduce_retracing=True)
        if any(end.shape.rank is None for end in (given, made) if hasattr(end.shape, "rank")) or not len(given.shape):
            raise UserError(f"{path}: its input or output has no certain shape", "export the model again")
        if given.shape[0] not in (None, batch_size):
            raise UserError(f"{path}: made for batches of {given.shape[0]}, not {batch_size}")
        self.input, self.output = (Tensor(end.dtype.name, tuple(end.shape)) for end in (given, made))

    def feed(self, x: np.ndarray) -> None:
        """See `Runner.feed`."""
        with tf.device(self._placed):
            self._x = tf.constant(x)

    def run(self) -> None:
        """See `Runner.run`."""
        with tf.device(self._placed):
            self._y = self._function(self._x)
        if self.device == "gpu":
            self._y.numpy()  # Waits for it; on a CPU the call itself does.

    def read(self) -> np.ndarray:
        """See `Runner.read`."""
        return self._y.numpy()


@RUNTIMES.register("xla")
class Xla(TensorFlow):
    """See `TensorFlow`."""

    name = "xla"
    compile_with_xla = True


def set_threads(threads: int) -> None:
    """Sets how many threads an operator may use, where TensorFlow has not started yet; elsewhere it is as it was."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        if "after initialization" not in str(error):
            raise


def _saved_model(path: Path) -> tuple[Any, Any, Any]:
    _judge(path)
    try:
        loaded = tf.saved_model.load(str(path))
    except (*_MISFIT, tf.errors.OpError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"{path}: TensorFlow cannot load it ({lines[0][:300]})") from error
    signatures = getattr(loaded, "signatures", None)
    if not isinstance(signatures, Mapping) or SIGNATURE not in signatures:
        raise UserError(f"{path}: the SavedModel has no signature {SIGNATURE}", "export it with tfday7.export")
    signature = signatures[SIGNATURE]
    given = list(signature.structured_input_signature[1].items())
    (name, start), (key, end) = one_of_each(path, given, list(signature.structured_outputs.items()))

    def call(x: Any) -> Any:
        return signature(**{name: x})[key]

    call.loaded = loaded  # type: ignore[attr-defined]  # Its variables live as long as somebody holds it.
    return call, start, end


def _judge(path: Path) -> None:
    """Raises UserError for a folder that is no SavedModel, or whose graph would reach beyond it."""
    saved = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    files.check_plain(path / "saved_model.pb", _MOST_BYTES)
    try:
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except (OSError, importlib.import_module("google.protobuf.message").DecodeError) as error:
        raise UserError(f"{path}: not a SavedModel folder ({error})", "export the model again") from error
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise UserError(
            f"{path}: a SavedModel of TensorFlow 1, whose loading cannot be judged",  # It runs what collections name.
            "export the model with TensorFlow 2",
        )
    graph = saved.meta_graphs[0]
    functions = {function.signature.name for function in graph.graph_def.library.function}
    found = {op for op in _operators_called(graph) - functions if _is_refused(op)}
    if found:
        raise UserError(f"{path}: its graph reads or writes files or runs Python ({', '.join(sorted(found))})")
    constants, allowed = _constant_bytes(graph), max(_FREE_BYTES, _PER_STORED_BYTE * saved.ByteSize())
    if constants > allowed:
        raise UserError(f"{path}: its constants take {constants:,} bytes, of {saved.ByteSize():,} that it has")


def _is_refused(op: str) -> bool:
    """Returns whether a model has no reason to call an operator, or TensorFlow does not know it."""
    known = importlib.import_module("tensorflow.python.framework.op_def_registry").get(op)
    return known is None or bool(REFUSED.search(op)) or (known.is_stateful and not EFFECTS.fullmatch(op))


def _constant_bytes(graph: Any) -> int:
    """Returns how much memory the constants of a graph and its functions take: one number may stand for many."""
    parts = [graph.graph_def.node, *(function.node_def for function in graph.graph_def.library.function)]
    held = [node.attr["value"].tensor for part in parts for node in part if node.op == "Const"]
    return sum(
        math.prod(max(size.size, 0) for size in one.tensor_shape.dim) * max(1, tf.as_dtype(one.dtype).size)
        for one in held
        if one.dtype
    )


def _operators_called(graph: Any) -> set[str]:
    """Returns the operators that run when a signature is called, or when the model is loaded or let go.

    Every function of an object counts: TensorFlow makes and fills the resources (`_create_resource`, `_initialize`),
    restores objects by functions of their own, and destroys resources (`_destroy_resource`) when nobody holds them.
    """
    nodes = {node.name: node for node in graph.graph_def.node}
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    ends = [end.name for name in CALLED for end in graph.signature_def[name].outputs.values()]
    seen = {end.lstrip("^").partition(":")[0] for end in ends} & set(nodes)
    waiting, outer = [nodes[name] for name in seen], [nodes[name] for name in seen]
    while outer:  # A function's inputs are its own: all of its nodes count, whatever they are called.
        names = {given.lstrip("^").partition(":")[0] for given in outer.pop().input} & set(nodes)
        outer += [nodes[name] for name in names - seen]
        waiting += [nodes[name] for name in names - seen]
        seen |= names
    called = _functions_of_objects(graph.object_graph_def) & set(functions)
    waiting += [node for name in called for node in functions[name].node_def]
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        found.add(node.op)
        for name in ({node.op, *_functions_named(node.attr)} & set(functions)) - called:  # It may be a function's name.
            called.add(name)
            waiting += functions[name].node_def  # All of it: what has an effect need not lead to an output.
    return found


def _functions_named(attributes: Any) -> Iterator[str]:
    """Yields the names of the functions in a node's attributes, and in the attributes of those."""
    for value in attributes.values():
        for function in (value.func, *value.list.func):
            yield function.name
            yield from _functions_named(function.attr)


def _functions_of_objects(objects: Any) -> set[str]:
    """Returns the names of all functions that objects hold, but for those that only save them: nobody saves.

    Not every one needs to be in the list of them.
    """
    saving = {one.save_function for node in objects.nodes for one in node.saveable_objects.values()}
    saving -= {one.restore_function for node in objects.nodes for one in node.saveable_objects.values()}
    saving -= {child.node_id for node in objects.nodes for child in node.children}
    held = [
        {*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name}
        for node in objects.nodes
    ]  # fmt: skip
    others = set().union(*(names for at, names in enumerate(held) if at not in saving))
    return others | (set(objects.concrete_functions) - set().union(*held))


def _keras3(path: Path) -> tuple[Any, Any, Any]:
    from tfday7.models import door, raw_columns

    model = raw_columns.core_inside(door.to_keras3(door.read(path)))  # Judged before anything of it is built.
    start, end = one_of_each(path, model.inputs, model.outputs)
    return (lambda x: model(x, training=False)), _End(start), _End(end)


class _End:
    """A Keras 3 tensor with the attributes of a TensorFlow one."""

    def __init__(self, tensor: Any) -> None:
        self.shape = tensor.shape
        self.dtype = tf.as_dtype(tensor.dtype)
