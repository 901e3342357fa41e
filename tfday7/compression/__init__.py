"""Makes a trained model smaller and faster, step by step, and says of every step what it did and what it left alone.

A recipe is a list of steps; each step is a technique with its settings (`techniques/`, one per file). Steps work on a
`Work`: the model as it is so far, the data, the teacher, and what has to be kept from here on (zeros, clusters).

    shrink  low_rank          change the structure: fewer channels, fewer parameters in a layer
    prune   cluster           change the weights: zeros, few different values
    qat                       trains with the rounding of int8
    distil  finetune          train what is there
    quantize                  decides the numbers of the file; the last step
"""
