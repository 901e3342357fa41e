"""What a person has to know who puts the bundle into an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfday7.core.units import format_bytes
from tfday7.deploying.android.versions import GROUP, Requirements
from tfday7.deploying.guide import broken_line
from tfday7.deploying.rendering import raw_values, shown
from tfday7.exporting.card import escaped
from tfday7.exporting.records import Artefact

GRADLE = "app/build.gradle.kts.lines"
PROGRAM = "check.jar"


def gradle_lines(needed: Requirements) -> str:
    """Returns what belongs into the app's build.gradle.kts."""
    dependencies = "".join(f'    implementation("{line}")\n' for line in needed.dependencies())
    gpu = ""
    if needed.release.gpu and not needed.flex:
        gpu = f'    // implementation("{GROUP}:litert-gpu:{needed.release.version}") // for the GPU; see README.md\n'
    return f"""\
// For the app's build.gradle.kts. Android Gradle plugin 7.0 or newer; the library is in Google's Maven repository.
android {{
    defaultConfig {{
        minSdk = {needed.release.min_sdk} // or higher
    }}
    androidResources {{
        noCompress += "tflite" // The model is mapped into memory as it lies in the app.
    }}
}}

dependencies {{
{dependencies}{gpu}}}
"""


def text(
    name: str, artefact: Artefact, spec: Mapping[str, Any], needed: Requirements, metadata: tuple[str, ...]
) -> str:
    """Returns README.md.

    Args:
        name: of the package and the folder among the assets.
        artefact: what is bundled.
        spec: bundle.json.
        needed: what the file asks for.
        metadata: names of the entries that the file has.
    """
    head = _head(name, spec, metadata, broken_line(artefact))
    parts = [head, _versions(needed), _use(name, artefact, spec), _gpu(needed), _check(name), _phone(name)]
    return "\n".join(part for part in parts if part)


def _head(name: str, spec: Mapping[str, Any], metadata: tuple[str, ...], broken: str) -> str:
    size = f"{format_bytes(spec['size_bytes'])}, {shown(spec['kind'])}"
    entries = ", ".join(shown(entry) for entry in metadata) or "none"
    return f"""# {shown(spec["name"])} for Android
{broken}
| file | what it is |
|---|---|
| `app/src/main/assets/{name}/` | the model ({size}) and what is read beside it: labels, vocabulary, means |
| `app/src/main/java/tfday7/{name}/ModelSpec.kt` | its numbers: shapes, scales, zero points |
| `.../ModelProcessing.kt` | from raw values to what the model takes, and back; needs neither Android nor LiteRT |
| `.../ModelRunner.kt` | runs it with LiteRT |
| `{GRADLE}` | lines for Gradle |
| `test/CheckVectors.kt`, `test_vectors/` | proof that the Kotlin code does what was done where the model was exported |

The model's SHA-256 is {spec["sha256"]}. Its metadata: {entries}.
In labels.txt, vocabulary.txt and targets.txt a backslash, line break or tab is written `\\\\`, `\\n`, `\\r` or `\\t`.
"""


def _versions(needed: Requirements) -> str:
    rows = "".join(
        f"| {shown(operator.name)} | {operator.version} | {operator.count} |\n" for operator in needed.operators
    )
    builtin = "All are builtin operators." if not needed.flex and not needed.custom else ""
    said = needed.min_runtime_version or "not said in the file"
    notes = "".join(f"- {escaped(note)}\n" for note in needed.notes())
    return f"""## Minimum versions

- TensorFlow Lite or LiteRT: {shown(said)}, by the operators below. {builtin}
- Gradle: `{"`, `".join(needed.dependencies())}`: {shown(needed.reason)}.
- Android: API level {needed.release.min_sdk}, which is that library's; a higher one of your own app's counts instead.
{notes}
| operator | version | how often |
|---|---|---|
{rows}"""


def _use(name: str, artefact: Artefact, spec: Mapping[str, Any]) -> str:
    given = spec["input"]
    words = given["dtype"] == "int32"
    raw = "IntArray of token ids" if words else "FloatArray of raw values"
    state = ""
    if spec["stateful"]:
        state = (
            "\nThis model keeps state from one run to the next. `ModelRunner` calls `resetVariableTensors()` before\n"
            "each run; code of your own must, too, or the second answer is wrong.\n"
        )
    return f"""## Use it

Copy `app/src/main` into the app's module, and the lines of `{GRADLE}` into its `build.gradle.kts`.
Then, off the main thread:

    val runner = tfday7.{name}.ModelRunner(context, threads = 2)
    val answers = runner.answers(raw)   // {raw}, shape {given["shape"][1:]}
    runner.close()

`runner.run(raw)` returns the outputs as they are.
{raw_values(artefact.input)}{state}"""


def _gpu(needed: Requirements) -> str:
    if not needed.release.gpu or needed.flex:
        return ""
    return f"""## GPU

The CPU is the default: small models are faster there. For the GPU add `{GROUP}:litert-gpu:{needed.release.version}` and

    val list = org.tensorflow.lite.gpu.CompatibilityList()
    val gpu = if (list.isDelegateSupportedOnThisDevice) {{
        org.tensorflow.lite.gpu.GpuDelegate(list.bestOptionsForThisDevice)
    }} else null
    val runner = ModelRunner(context, configure = {{ if (gpu != null) addDelegate(gpu) }})

It computes in 16 bits where it may, so its answers differ from those of the test vectors by more than the CPU's.
"""


def _check(name: str) -> str:
    sources = f"app/src/main/java/tfday7/{name}"
    return f"""## Check it on a computer

With Kotlin 1.3 or newer (Debian: `apt-get install kotlin`), in this folder:

    kotlinc {sources}/ModelSpec.kt {sources}/ModelProcessing.kt test/CheckVectors.kt -include-runtime -d {PROGRAM}
    java -cp {PROGRAM} tfday7.{name}.CheckVectorsKt .

It compares, for each vector, every byte that the model would be fed, every bit of the values made of what the model
gave, and the probabilities to six digits.
"""


def _phone(name: str) -> str:
    return f"""## Measure it on a phone

`python -m tfday7.deploy --device=android` does this when adb finds one phone (or `ANDROID_SERIAL` names it). It uses
the official `benchmark_model` of TensorFlow Lite when it lies on the phone already; get it from
https://ai.google.dev/edge/litert/models/measurement and

    adb push android_aarch64_benchmark_model /data/local/tmp/benchmark_model
    adb shell chmod +x /data/local/tmp/benchmark_model
    adb push app/src/main/assets/{name}/{name}.tflite /data/local/tmp/
    adb shell /data/local/tmp/benchmark_model --graph=/data/local/tmp/{name}.tflite --num_threads=2

That measures time, not answers. To compare answers on the phone, feed `test_vectors/vectors_raw.bin` to `ModelRunner`
in an instrumented test, and compare with `test_vectors/vectors_expected.bin` (float32, little-endian) within the
tolerance of `test_vectors/bundle.json`.
"""
