"""Where advice comes from: papers by arXiv number, sections of the tuning playbook, and our own measurements."""

from __future__ import annotations

from tfday7.core.texts import text

PLAYBOOK = "Deep Learning Tuning Playbook (github.com/google-research/tuning_playbook)"
PLAYBOOK_CHOICE = f"{PLAYBOOK}, Choosing the optimizer"
PLAYBOOK_BATCH = f"{PLAYBOOK}, Choosing the batch size"
PLAYBOOK_BUDGET = f"{PLAYBOOK}, How should Adam's hyperparameters be tuned?"
PLAYBOOK_SEARCH = f"{PLAYBOOK}, Identifying bad search space boundaries"
PLAYBOOK_UNSTABLE = f"{PLAYBOOK}, How can optimization failures be debugged and mitigated?"
PLAYBOOK_CURVES = f"{PLAYBOOK}, Examining the training curves"
PLAYBOOK_SCHEDULE = f"{PLAYBOOK}, What is the best learning rate decay schedule family?"
ALGOPERF = "Kasimbeg et al., 2025, Accelerating neural network training (AlgoPerf), arXiv:2502.15015"

ADADELTA = "Zeiler, 2012, arXiv:1212.5701"
ADAFACTOR = "Shazeer & Stern, 2018, arXiv:1804.04235"
ADAGRAD = "Duchi, Hazan & Singer, 2011, JMLR 12:2121"
ADAM = "Kingma & Ba, 2015, arXiv:1412.6980"
ADAMW = "Loshchilov & Hutter, 2019, arXiv:1711.05101"
BERT = "Devlin et al., 2019, arXiv:1810.04805, appendix A"
COSINE = "Loshchilov & Hutter, 2017, arXiv:1608.03983"
CLIPPING = "Pascanu, Mikolov & Bengio, 2013, arXiv:1211.5063"
GPT3 = "Brown et al., 2020, arXiv:2005.14165, table 2.1 and appendix B"
LAMB = "You et al., 2020, arXiv:1904.00962"
LARS = "You, Gitman & Ginsburg, 2017, arXiv:1708.03888"
LARGE_BATCH_SGD = "Goyal et al., 2017, arXiv:1706.02677"
LINEAR_TO_ZERO = "Bergsma et al., 2025, arXiv:2502.15938"
LION = "Chen et al., 2023, arXiv:2302.06675"
MARGINAL_VALUE = "Wilson et al., 2017, arXiv:1705.08292"
MUON = "Liu et al., 2025, arXiv:2502.16982"
NADAM = "Dozat, 2016, ICLR workshop, Incorporating Nesterov momentum into Adam"
RMSPROP = "Tieleman & Hinton, 2012, Neural networks for machine learning, lecture 6.5"
ROBERTA = "Liu et al., 2019, arXiv:1907.11692"
SCHEDULE_FREE = "Defazio et al., 2024, arXiv:2405.15682"
SIMCLR = "Chen et al., 2020 (SimCLR), arXiv:2002.05709, appendix B.6"
SQUARE_ROOT = "Malladi et al., 2022, arXiv:2205.10343"
SMALL_BATCHES = "Masters & Luschi, 2018, arXiv:1804.07612"
TABULAR = "Gorishniy et al., 2021, arXiv:2106.11959"
TRANSFER_OF_RATES = "Yang et al., 2022, arXiv:2203.03466"
TRANSFORMER = "Vaswani et al., 2017, arXiv:1706.03762, section 5.3"
WARM_UP = "Ma & Yarats, 2021, arXiv:1910.04209"
WHY_ADAM = "Zhang et al., 2020, arXiv:1912.03194"
ZERO = "Rajbhandari et al., 2020, arXiv:1910.02054, section 3.1"
MEASURED = "{measured}"  # The only one in words of our own, which `spoken` puts in the reader's language.


def spoken(source: str, lang: str) -> str:
    """Returns a source as people read it, in "en" or "zh"."""
    return source.replace(MEASURED, text("advice.source.measured", lang))
