package @PACKAGE@

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.system.exitProcess

/**
 * Does `ModelProcessing` make of the test vectors what was made of them where the model was exported?
 *
 * Runs on a computer, without Android and without the model: what the model takes and gave is in the files.
 * The one argument is the folder of the bundle. Exit code 1 and the first difference when there is one.
 */
fun main(args: Array<String>) {
    val root = File(args.firstOrNull() ?: ".")
    val processing = ModelProcessing.load { File(root, "app/src/main/assets/${ModelSpec.FOLDER}/$it").inputStream() }
    val check = CheckVectors(File(root, "test_vectors"), processing)
    val failure = check.firstDifference()
    if (failure != null) {
        System.err.println("error: $failure")
        exitProcess(1)
    }
    println("${check.count} vectors: input bytes and output values are equal, answers agree")
}

/** Compares one vector after the other. */
class CheckVectors(private val folder: File, private val processing: ModelProcessing) {
    private val raw = read("vectors_raw.bin")
    private val given = read("model_input.bin")
    private val made = read("model_output.bin")
    private val values = read("values.bin")
    private val answers = read("answers.bin")

    /** How many vectors there are. */
    val count = raw.remaining() / (4 * ModelSpec.INPUT_SIZE)

    /** Returns what differs first, in words; null when nothing does. */
    fun firstDifference(): String? {
        if (count == 0) return "no test vectors"
        return (0 until count).asSequence().map { difference(it) }.firstOrNull { it != null }
    }

    private fun difference(vector: Int): String? {
        val input = preprocessed()
        for (i in 0 until input.capacity()) {
            val expected = given.get()
            if (input.get(i) != expected) return "vector $vector: input byte $i is ${input.get(i)}; expected $expected"
        }
        val output = processing.newOutput()
        for (i in 0 until output.capacity()) output.put(made.get())
        val found = processing.postprocess(output)
        for (i in found.indices) {
            val expected = values.getFloat()
            if (found[i].toRawBits() != expected.toRawBits()) {
                return "vector $vector: value $i is ${found[i]}; expected $expected"
            }
        }
        return answersDiffer(vector, processing.probabilities(found))
    }

    private fun preprocessed(): ByteBuffer {
        val size = ModelSpec.INPUT_SIZE
        if (ModelSpec.INPUT_TYPE == "int32") return processing.preprocess(IntArray(size) { raw.getInt() })
        return processing.preprocess(FloatArray(size) { raw.getFloat() })
    }

    /** Each language has its own exp and tanh: they agree to the last digits of a Double, if not in all of them. */
    private fun answersDiffer(vector: Int, said: FloatArray): String? {
        for (i in said.indices) {
            val expected = answers.getFloat()
            val allowed = 1e-6f * Math.max(1f, Math.abs(expected))
            if (!(Math.abs(said[i] - expected) <= allowed)) {
                return "vector $vector: answer $i is ${said[i]}; expected $expected"
            }
        }
        return null
    }

    private fun read(name: String): ByteBuffer =
        ByteBuffer.wrap(File(folder, name).readBytes()).order(ByteOrder.LITTLE_ENDIAN)
}
