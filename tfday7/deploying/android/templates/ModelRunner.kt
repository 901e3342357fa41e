package @PACKAGE@

import android.content.Context
import java.io.Closeable
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter

/**
 * Runs the model on the phone's CPU.
 *
 *     ModelRunner(context).use { runner ->
 *         val answers = runner.answers(rawValues)
 *     }
 *
 * Loading takes longer than running: keep an instance. Calls from several threads wait for each other.
 *
 * @param threads CPU threads; more than the phone has large cores makes it slower.
 * @param configure changes the interpreter's options, for example to add a delegate; see the README.
 */
class ModelRunner(
    context: Context,
    threads: Int = 2,
    configure: Interpreter.Options.() -> Unit = {}
) : Closeable {
    val processing: ModelProcessing = ModelProcessing.load { name -> context.assets.open("${ModelSpec.FOLDER}/$name") }
    private val interpreter = Interpreter(
        map(context),
        Interpreter.Options().apply { setNumThreads(threads) }.apply(configure)
    )

    /** Returns the model's real outputs for one example of raw values. */
    fun run(raw: FloatArray): FloatArray = invoke(processing.preprocess(raw))

    /** Returns the model's real outputs for one example of token ids. */
    fun run(tokenIds: IntArray): FloatArray = invoke(processing.preprocess(tokenIds))

    /** Returns what the model says of one example of raw values; see `ModelProcessing.answers`. */
    fun answers(raw: FloatArray): List<Answer> = processing.answers(run(raw))

    /** Returns what the model says of one example of token ids. */
    fun answers(tokenIds: IntArray): List<Answer> = processing.answers(run(tokenIds))

    @Synchronized
    override fun close() = interpreter.close()

    @Synchronized
    private fun invoke(input: ByteBuffer): FloatArray {
        interpreter.resetVariableTensors() // An LSTM keeps its state from one run to the next otherwise.
        val output = processing.newOutput()
        interpreter.run(input, output)
        return processing.postprocess(output)
    }

    /** Maps the model without copying it, which works because Gradle was told not to compress it. */
    private fun map(context: Context): MappedByteBuffer =
        context.assets.openFd("${ModelSpec.FOLDER}/${ModelSpec.MODEL_FILE}").use { file ->
            FileInputStream(file.fileDescriptor).use { stream ->
                stream.channel.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
            }
        }
}
