package @PACKAGE@

/** The numbers of this model, from bundle.json. Names and long lists are read from the files beside the model. */
object ModelSpec {
    /** A target: columns `first` until `last` of the output, and what they are. */
    class Head(val task: String, val meaning: String, val first: Int, val last: Int)

    /** Where the model and its files lie among the assets. */
    const val FOLDER = "@FOLDER@"
    const val MODEL_FILE = "@MODEL_FILE@"

    /** Of the model file, which a test can compare. */
    const val MODEL_SHA256 = "@SHA256@"

    /** Batch first, which is 1. */
    val INPUT_SHAPE: IntArray = intArrayOf(@INPUT_SHAPE@)
    const val INPUT_SIZE = @INPUT_SIZE@
    const val INPUT_TYPE = "@INPUT_TYPE@"
    const val INPUT_SCALE = @INPUT_SCALE@f
    const val INPUT_ZERO_POINT = @INPUT_ZERO_POINT@
    const val INPUT_DIVISOR = @INPUT_DIVISOR@f

    /** How many means and deviations there are: none, one, or one for each column of the last axis. */
    const val INPUT_STANDARDIZATION = @INPUT_STANDARDIZATION@

    val OUTPUT_SHAPE: IntArray = intArrayOf(@OUTPUT_SHAPE@)
    const val OUTPUT_SIZE = @OUTPUT_SIZE@
    const val OUTPUT_TYPE = "@OUTPUT_TYPE@"
    const val OUTPUT_SCALE = @OUTPUT_SCALE@f
    const val OUTPUT_ZERO_POINT = @OUTPUT_ZERO_POINT@
    const val OUTPUT_STANDARDIZATION = @OUTPUT_STANDARDIZATION@

    const val HAS_LABELS = @HAS_LABELS@
    const val HAS_VOCABULARY = @HAS_VOCABULARY@
    const val HAS_TARGETS = @HAS_TARGETS@

    val HEADS: List<Head> = listOf(
@HEADS@
    )

    /** Whether the model keeps values from one run to the next, which `ModelRunner` resets. */
    const val IS_STATEFUL = @IS_STATEFUL@
}
