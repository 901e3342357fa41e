package @PACKAGE@

import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** One answer: of which target (empty when there is one), which class or value, and how likely or how much. */
data class Answer(val target: String, val label: String, val index: Int, val value: Float)

/**
 * What happens to numbers before and after the model, step by step as it was when the model was exported.
 *
 *     x = (raw / divisor - mean) / std          answer = y * std + mean
 *     q = round(x / scale) + zeroPoint          y = (q - zeroPoint) * scale
 *
 * Each step is left out where `ModelSpec` has none. Arithmetic is in Float, that with mean and std in Double and then
 * rounded to Float; halves round to even. The same raw values give the same bytes as they did there.
 *
 * This file needs nothing but Kotlin's standard library. An instance may be shared between threads.
 */
class ModelProcessing private constructor(
    /** Class names in the order of the outputs; empty where there are none. */
    val labels: List<String>,
    /** The word of each token id; empty where the model takes no words. 0 is padding, 1 any unknown word. */
    val vocabulary: List<String>,
    private val targets: List<Target>,
    private val inputMean: DoubleArray,
    private val inputStd: DoubleArray,
    private val outputMean: DoubleArray,
    private val outputStd: DoubleArray
) {
    private class Target(val name: String, val labels: List<String>)

    private val ids: Map<String, Int> = vocabulary.withIndex().associate { it.value to it.index }

    /** Returns what the model takes for one example: raw values in the order of the input's shape, last axis fastest. */
    fun preprocess(raw: FloatArray): ByteBuffer {
        check(ModelSpec.INPUT_TYPE != "int32") { "this model takes token ids: preprocess(IntArray)" }
        require(raw.size == ModelSpec.INPUT_SIZE) { "${raw.size} values; expected ${ModelSpec.INPUT_SIZE}" }
        val buffer = newBuffer(raw.size, ModelSpec.INPUT_TYPE)
        for (i in raw.indices) {
            var x = raw[i] / ModelSpec.INPUT_DIVISOR
            if (inputMean.isNotEmpty()) {
                val column = i % inputMean.size
                x = ((x.toDouble() - inputMean[column]) / inputStd[column]).toFloat()
            }
            if (ModelSpec.INPUT_TYPE == "int8") buffer.put(quantize(x)) else buffer.putFloat(x)
        }
        buffer.rewind()
        return buffer
    }

    /** Returns what the model takes for one example of token ids. */
    fun preprocess(tokenIds: IntArray): ByteBuffer {
        check(ModelSpec.INPUT_TYPE == "int32") { "this model takes values: preprocess(FloatArray)" }
        require(tokenIds.size == ModelSpec.INPUT_SIZE) { "${tokenIds.size} ids; expected ${ModelSpec.INPUT_SIZE}" }
        val buffer = newBuffer(tokenIds.size, ModelSpec.INPUT_TYPE)
        for (id in tokenIds) {
            require(vocabulary.isEmpty() || id in vocabulary.indices) { "token id $id of ${vocabulary.size} words" }
            buffer.putInt(id)
        }
        buffer.rewind()
        return buffer
    }

    /** Returns the ids of words, cut or filled with padding to the length that the model takes. */
    fun tokenIds(words: List<String>): IntArray {
        check(vocabulary.isNotEmpty()) { "this model has no vocabulary" }
        return IntArray(ModelSpec.INPUT_SIZE) { if (it < words.size) ids[words[it]] ?: 1 else 0 }
    }

    /** Returns an empty buffer for what the model gives. */
    fun newOutput(): ByteBuffer = newBuffer(ModelSpec.OUTPUT_SIZE, ModelSpec.OUTPUT_TYPE)

    /** Returns the model's answer for one example as real numbers: logits, probabilities, or values. */
    fun postprocess(output: ByteBuffer): FloatArray {
        output.rewind()
        return FloatArray(ModelSpec.OUTPUT_SIZE) { i ->
            var y = if (ModelSpec.OUTPUT_TYPE == "int8") dequantize(output.get()) else output.getFloat()
            if (outputMean.isNotEmpty()) {
                val column = i % outputMean.size
                y = (y.toDouble() * outputStd[column] + outputMean[column]).toFloat()
            }
            y
        }
    }

    /** Returns probabilities where the model gives logits of classes (softmax) or labels (sigmoid); else the values. */
    fun probabilities(values: FloatArray): FloatArray {
        val found = values.copyOf()
        for (head in ModelSpec.HEADS) {
            if (head.meaning != "logits") continue
            if (head.task == "classification") softmax(found, head.first, head.last)
            if (head.task == "multilabel") sigmoid(found, head.first, head.last)
        }
        return found
    }

    /**
     * Returns what the model says of one example, from `postprocess`: every class, the likeliest first; of labels those
     * above one half; every value of a regression.
     */
    fun answers(values: FloatArray): List<Answer> {
        val found = probabilities(values)
        return ModelSpec.HEADS.indices.flatMap { answersOf(ModelSpec.HEADS[it], targets[it], found) }
    }

    private fun answersOf(head: ModelSpec.Head, target: Target, found: FloatArray): List<Answer> {
        val last = if (ModelSpec.HAS_TARGETS) head.last else found.size
        val all = (head.first until last).map {
            val index = it - head.first
            Answer(target.name, target.labels.getOrElse(index) { "$index" }, index, found[it])
        }
        return when (head.task) {
            "classification" -> all.sortedByDescending { it.value }
            "multilabel" -> all.filter { it.value > 0.5f }
            else -> all
        }
    }

    private fun quantize(x: Float): Byte {
        val steps = Math.rint((x / ModelSpec.INPUT_SCALE).toDouble()).toFloat() + ModelSpec.INPUT_ZERO_POINT.toFloat()
        return steps.coerceIn(-128f, 127f).toInt().toByte()
    }

    private fun dequantize(q: Byte): Float =
        (q.toFloat() - ModelSpec.OUTPUT_ZERO_POINT.toFloat()) * ModelSpec.OUTPUT_SCALE

    private fun softmax(values: FloatArray, first: Int, last: Int) {
        var largest = Double.NEGATIVE_INFINITY
        for (i in first until last) largest = Math.max(largest, values[i].toDouble())
        val powers = DoubleArray(last - first) { Math.exp(values[first + it] - largest) }
        val sum = powers.sum()
        for (i in first until last) values[i] = (powers[i - first] / sum).toFloat()
    }

    private fun sigmoid(values: FloatArray, first: Int, last: Int) {
        for (i in first until last) values[i] = (0.5 * (1.0 + Math.tanh(0.5 * values[i]))).toFloat()
    }

    companion object {
        /**
         * Reads labels, vocabulary and columns' means, which lie beside the model.
         *
         * @param open opens one of these files by its name, such as `{ context.assets.open("@FOLDER@/$it") }`.
         */
        fun load(open: (String) -> InputStream): ModelProcessing {
            val before = numbers(open, "input_standardization.bin", ModelSpec.INPUT_STANDARDIZATION)
            val after = numbers(open, "output_standardization.bin", ModelSpec.OUTPUT_STANDARDIZATION)
            val labels = if (ModelSpec.HAS_LABELS) lines(open, "labels.txt").map { unescape(it) } else emptyList()
            return ModelProcessing(
                labels,
                if (ModelSpec.HAS_VOCABULARY) lines(open, "vocabulary.txt").map { unescape(it) } else emptyList(),
                if (ModelSpec.HAS_TARGETS) lines(open, "targets.txt").map { target(it) } else listOf(Target("", labels)),
                before[0], before[1], after[0], after[1]
            )
        }

        /** A line of targets.txt is a target's name and its classes, with tabs between them. */
        private fun target(line: String): Target {
            val parts = line.split('\t').map { unescape(it) }
            return Target(parts[0], parts.drop(1))
        }

        /** Returns so many means and as many deviations; the file has them one after the other as float64. */
        private fun numbers(open: (String) -> InputStream, name: String, count: Int): List<DoubleArray> {
            if (count == 0) return listOf(DoubleArray(0), DoubleArray(0))
            val content = open(name).use { it.readBytes() }
            check(content.size == 16 * count) { "$name has ${content.size} bytes; expected ${16 * count}" }
            val buffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
            return List(2) { DoubleArray(count) { buffer.getDouble() } }
        }

        private fun lines(open: (String) -> InputStream, name: String): List<String> {
            val text = String(open(name).use { it.readBytes() }, Charsets.UTF_8)
            return text.removeSuffix("\n").split('\n')
        }

        /** Names hold line breaks, tabs and backslashes as \n, \r, \t and \\. */
        private fun unescape(line: String): String {
            val text = StringBuilder()
            var i = 0
            while (i < line.length) {
                if (line[i] == '\\' && i + 1 < line.length) {
                    i++
                    text.append(when (line[i]) { 'n' -> '\n'; 'r' -> '\r'; 't' -> '\t'; else -> line[i] })
                } else {
                    text.append(line[i])
                }
                i++
            }
            return text.toString()
        }

        private fun newBuffer(count: Int, type: String): ByteBuffer {
            val bytes = if (type == "int8") count else 4 * count
            return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())
        }
    }
}
