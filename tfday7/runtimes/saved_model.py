"""Judges a SavedModel before it is loaded: whether all that TensorFlow would run of it stays within the process.

Loading one runs functions of its objects, and calling it runs whatever they call; so every function that could be
reached is looked through, and every operator in them has to be one that models are made of.
"""

from __future__ import annotations

import collections
import importlib
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf

SIGNATURE = "serving_default"
# What a model has no reason to do when it is called: reach for files, other processes, Python, or a terminal.
REFUSED = re.compile(
    r"Abort|Checkpoint|CustomCall|Dataset|Debug|Dump|File|FixedUnigram|ImmutableConst|Iterator|Print|Proto|PyFunc|Reader|"
    r"RecordInput|Remap|RemoteCall|Restore|Rpc|Save|Socket|Summary|SymbolicGradient|^_?Recv|^_?Send"
)
# Of the operators that TensorFlow says have an effect, those that models are made of; any other is refused.
EFFECTS = re.compile(
    r"(Anonymous)?(Mutable)?(Dense)?HashTable(OfTensors)?(V2)?|LookupTable\w+|InitializeTable(V2)?|"
    r"VarHandleOp|Variable(V2)?|VariableShape|VarIsInitializedOp|ReadVariableOp|DisableCopyOnRead|"
    r"Assign(Add|Sub)?VariableOp|Resource(Gather|Scatter|Apply|SparseApply)\w*|ResourceStridedSliceAssign|"
    r"DestroyResourceOp|StatefulPartitionedCall|While|If|Case|Placeholder\w*|TensorArray\w*|Assert|CheckNumerics(V2)?|"
    r"CudnnRNN\w*|Random(Uniform|StandardNormal|Gamma|Poisson|Shuffle)\w*|Multinomial|\w*TruncatedNormal|"
    r"Stateful(Uniform|StandardNormal|TruncatedNormal|Random)\w*|StatelessRandomGetAlg|Rng\w+|"
    r"(Uniform|LogUniform|LearnedUnigram|All)CandidateSampler"
)
_MOST_BYTES = 2_000_000_000  # Of a SavedModel's graph: a protocol buffer cannot be larger.
_FREE_BYTES, _PER_STORED_BYTE = 256_000_000, 4  # Of its constants, which a few bytes may blow up.
_STRING_BYTES = 24  # Of a string in a tensor, even of an empty one.
CALLED = (SIGNATURE, "__saved_model_init_op")  # The other signatures save and restore the variables: nobody runs them.


def judge(path: Path) -> None:
    """Raises UserError for a folder that is no SavedModel, cannot be read to its end, or would reach beyond itself."""
    saved = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    for file in (*path.glob("*"), *path.glob("*/*")):  # The loader reads none that lies deeper.
        if not file.is_dir():
            files.check_plain(file)
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
    _check_operators(path, _operators_called(graph) - {one.signature.name for one in graph.graph_def.library.function})
    try:
        constants, allowed = _constant_bytes(graph), max(_FREE_BYTES, _PER_STORED_BYTE * saved.ByteSize())
    except TypeError as error:
        raise UserError(
            f"{path}: damaged: a constant is of no known type ({error})", "export the model again"
        ) from error
    if constants > allowed:
        raise UserError(f"{path}: its constants take {constants:,} bytes, of {saved.ByteSize():,} that it has")


def _check_operators(path: Path, called: Iterable[str]) -> None:
    if reaching := sorted(op for op in called if REFUSED.search(op)):
        raise UserError(f"{path}: its graph reads or writes files or runs Python ({', '.join(reaching)})")
    if unlisted := sorted(op for op in called if _is_unlisted(op)):
        raise UserError(
            f"{path}: its graph calls {', '.join(unlisted)}, not on the list of operators that models are made of",
            "export no more of the model than gives its answers",
        )


def _is_unlisted(op: str) -> bool:
    """Returns whether an operator has an effect and is not on the list, or TensorFlow does not know it."""
    known = importlib.import_module("tensorflow.python.framework.op_def_registry").get(op)
    return known is None or (known.is_stateful and not EFFECTS.fullmatch(op))


def _constant_bytes(graph: Any) -> int:
    """Returns how much memory the constants of a graph and its functions take: one number may stand for many.

    An object that is a constant is made from the value of the node that it names, whatever its operator is.
    """
    named = collections.Counter(one.constant.operation for one in graph.object_graph_def.nodes)
    inner = (node for function in graph.graph_def.library.function for node in function.node_def)
    return sum(_value_bytes(node) for node in inner) + sum(
        _value_bytes(node) * (1 + named[node.name]) for node in graph.graph_def.node
    )


def _value_bytes(node: Any) -> int:
    """Returns the size of a node's value, 0 where it has none. Raises TypeError for a type that there is not."""
    value = node.attr["value"].tensor if "value" in node.attr else None
    if value is None or not value.dtype:
        return 0
    dtype = tf.as_dtype(value.dtype).base_dtype
    each = _STRING_BYTES if dtype == tf.string else max(1, dtype.size)
    return each * math.prod(max(size.size, 0) for size in value.tensor_shape.dim)


def _operators_called(graph: Any) -> set[str]:
    """Returns the operators that run when a signature is called, or when the model is loaded or let go.

    Every function of an object counts: TensorFlow makes and fills the resources (`_create_resource`, `_initialize`),
    saves and restores objects by functions of their own, both while it loads them, and destroys resources
    (`_destroy_resource`) when nobody holds them.
    """
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    alike = collections.defaultdict(set)  # TensorFlow may call any of those that "implement" the same.
    for name, function in functions.items():
        if "api_implements" in function.attr:
            alike[function.attr["api_implements"].s].add(name)
    named, waiting = _functions_of_objects(graph.object_graph_def), _outer_nodes(graph)
    found: set[str] = set()
    called: set[str] = set()
    while named or waiting:
        found |= {node.op for node in waiting}
        for node in waiting:
            named |= {node.op, *_functions_named(node.attr)}  # An operator may be a function's name.
        named = (named & functions.keys()) - called
        for name in tuple(named):
            if "api_implements" in functions[name].attr:
                named |= alike.pop(functions[name].attr["api_implements"].s, set()) - called
        called |= named
        waiting = [node for name in named for node in functions[name].node_def]  # What has an effect needs no output.
        named = set()
    return found


def _outer_nodes(graph: Any) -> list[Any]:
    """Returns the nodes outside of functions that lead to the outputs of what is called."""
    nodes = {node.name: node for node in graph.graph_def.node}
    ends = [end.name for name in CALLED for end in graph.signature_def[name].outputs.values()]
    seen = {end.lstrip("^").partition(":")[0] for end in ends} & set(nodes)
    waiting = list(seen)
    while waiting:
        names = {given.lstrip("^").partition(":")[0] for given in nodes[waiting.pop()].input} & set(nodes)
        waiting += names - seen
        seen |= names
    return [nodes[name] for name in seen]


def _functions_named(attributes: Any) -> Iterator[str]:
    """Yields the names of the functions in a node's attributes, and in the attributes of those."""
    for value in attributes.values():
        for function in (value.func, *value.list.func):
            yield function.name
            yield from _functions_named(function.attr)


def _functions_of_objects(objects: Any) -> set[str]:
    """Returns the names of all functions that objects hold. Not every one needs to be in the list of them."""
    held = {name for node in objects.nodes for name in node.function.concrete_functions}
    bare = {node.bare_concrete_function.concrete_function_name for node in objects.nodes}
    return {*objects.concrete_functions, *held, *bare}
