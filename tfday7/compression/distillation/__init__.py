"""Distillation: a student learns from the answers, and the inner values, of one teacher or several.

teachers    the models that are asked, and what they answer: logits or values, the mean of several
losses      soft targets mixed with the true labels (Hinton et al., 2015, arXiv:1503.02531)
features    hints (FitNets, arXiv:1412.6550) and attention maps (Zagoruyko & Komodakis, arXiv:1612.03928)
caching     answers stored beside the labels, where inputs repeat exactly
distiller   the student with its teachers inside the step, where they do not
fitting     chooses between the two, and trains
"""
