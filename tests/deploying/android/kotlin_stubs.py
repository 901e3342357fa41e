"""Kotlin that stands for Android and LiteRT, so that what an app runs is compiled and run without either.

`Interpreter` looks up what it is fed among the test vectors' input bytes and answers with the output that LiteRT gave.
"""

from __future__ import annotations

ANDROID = """
package android.content
import java.io.File
class Context(root: File) { val assets = android.content.res.AssetManager(root) }
"""

ASSETS = """
package android.content.res
import java.io.Closeable
import java.io.File
import java.io.FileInputStream
import java.io.InputStream
class AssetManager(private val root: File) {
    fun open(name: String): InputStream = File(root, name).inputStream()
    fun openFd(name: String) = AssetFileDescriptor(File(root, name))
}
class AssetFileDescriptor(private val file: File) : Closeable {
    private val stream = FileInputStream(file)
    val fileDescriptor = stream.fd
    val startOffset = 0L
    val declaredLength = file.length()
    override fun close() = stream.close()
}
"""

LITERT = """
package org.tensorflow.lite
import java.io.File
import java.nio.ByteBuffer
class Interpreter(private val model: ByteBuffer, private val options: Options) : AutoCloseable {
    class Options {
        var threads = 0
        fun setNumThreads(count: Int): Options { threads = count; return this }
    }
    private val vectors = File(System.getProperty("vectors"))
    private val given = File(vectors, "model_input.bin").readBytes()
    private val made = File(vectors, "model_output.bin").readBytes()
    private var isReset = false
    fun resetVariableTensors() { isReset = true }
    fun run(input: Any, output: Any) {
        check(isReset && options.threads == 2 && model.get(4) == 'T'.toByte()) { "not reset, or no model" }
        isReset = false
        val fed = ByteArray((input as ByteBuffer).remaining()).also { input.get(it) }
        val size = (output as ByteBuffer).remaining()
        val vector = (0 until given.size / fed.size).first { i ->
            fed.indices.all { fed[it] == given[i * fed.size + it] }
        }
        output.put(made, vector * size, size)
    }
    override fun close() {}
}
"""

# Prints a line for each answer of each vector: vector, target and label in hexadecimal UTF-8, index, value.
ANSWERS = """
package @PACKAGE@
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
private fun hex(text: String) = "x" + text.toByteArray().joinToString("") { String.format("%02x", it) }
fun main(args: Array<String>) {
    val runner = ModelRunner(android.content.Context(File(args[0], "app/src/main/assets")))
    val raw = ByteBuffer.wrap(File(args[0], "test_vectors/vectors_raw.bin").readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    var vector = 0
    while (raw.hasRemaining()) {
        val size = ModelSpec.INPUT_SIZE
        val answers = if (ModelSpec.INPUT_TYPE == "int32") runner.answers(IntArray(size) { raw.getInt() })
        else runner.answers(FloatArray(size) { raw.getFloat() })
        for (it in answers) println("$vector ${hex(it.target)} ${hex(it.label)} ${it.index} ${it.value}")
        vector++
    }
    println("labels " + runner.processing.labels.joinToString(" ") { hex(it) })
    if (ModelSpec.HAS_VOCABULARY) {
        println("ids " + runner.processing.tokenIds(args.drop(1)).joinToString(" "))
        val refused = runCatching { runner.run(IntArray(ModelSpec.INPUT_SIZE) { 20 }) }.exceptionOrNull()
        println("refused " + refused?.message)
    }
    runner.close()
}
"""
