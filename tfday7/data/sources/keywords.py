"""Made-up spoken keywords as cepstra [49, 10]: a stand-in for Speech Commands where no recordings can be had.

The twelve classes of MLPerf Tiny's keyword spotting (Warden, 2018, arXiv:1804.03209): ten words, silence, and unknown
words. No recording is behind them: each word is a chain of speech sounds, each sound a spectral envelope (vowels by the
formants of Peterson & Barney, 1952), spoken by voices of different vocal tracts, speeds and loudness, before noise. The
arithmetic from energies to cepstra is the usual one: 40 mel bands every 20 ms, logarithm, cosine transform, the first
ten. Figures on this data say that a model can learn; they are not comparable with figures on recordings.
"""

from __future__ import annotations

import math

import numpy as np

from tfday7.core.seeds import derive_seed
from tfday7.data.config import DataConfig
from tfday7.data.source import SOURCES, Raw, source

EXAMPLES = 7_200
STEPS, BANDS, CEPSTRA = 49, 40, 10  # 40 ms windows, 20 ms apart, in one second.
PREPROCESSING = "10 mel cepstra of 40 bands up to 8 kHz, 40 ms windows every 20 ms"
CLASS_NAMES = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "silence", "unknown")
WORDS = {
    "yes": "i e s", "no": "n o u", "up": "V p", "down": "d a u n", "left": "l e f t", "right": "r a I t", "on": "A n",
    "off": "o f", "stop": "s t A p", "go": "g o u", "silence": "",
}  # fmt: skip
# Each sound: its length relative to a vowel's, and (centre in Hz, width in Hz, gain in dB) of its peaks.
_Sound = tuple[float, tuple[tuple[float, float, float], ...]]


def _vowel(first: float, second: float, third: float, length: float = 1.0, gain: float = 0.0) -> _Sound:
    return length, ((first, 90, gain), (second, 130, gain - 8), (third, 200, gain - 16))


SOUNDS: dict[str, _Sound] = {
    "i": _vowel(270, 2290, 3010), "I": _vowel(390, 1990, 2550), "e": _vowel(530, 1840, 2480),
    "a": _vowel(660, 1720, 2410), "A": _vowel(730, 1090, 2440), "o": _vowel(570, 840, 2410),
    "u": _vowel(300, 870, 2240), "V": _vowel(640, 1190, 2390),
    "n": _vowel(280, 1700, 2600, 0.7, -10), "l": _vowel(360, 1300, 2700, 0.6, -6),
    "r": _vowel(310, 1060, 1380, 0.6, -6),
    "s": (0.9, ((6200, 1500, -14),)), "f": (0.8, ((5000, 3500, -24),)), "t": (0.3, ((4000, 2500, -16),)),
    "p": (0.3, ((800, 900, -20),)), "d": (0.3, ((3000, 1500, -16),)), "g": (0.3, ((1800, 800, -16),)),
}  # fmt: skip


@SOURCES.register("keywords")
@source()
def load(config: DataConfig) -> Raw:
    """Returns float32 [7200, 49, 10], the same on every machine, and labels 0 to 11, equally many of each."""
    del config
    return make(EXAMPLES)


def make(examples: int) -> Raw:
    """Returns so many examples; see `load`."""
    generator = np.random.default_rng(derive_seed(0, "keywords"))
    labels = np.arange(examples) % len(CLASS_NAMES)
    energies = np.stack([_spoken(_sounds(CLASS_NAMES[label], generator), generator) for label in labels])
    cepstra = np.log(energies) @ cosines(BANDS, CEPSTRA)
    return Raw(cepstra.astype(np.float32), labels, class_names=CLASS_NAMES, preprocessing=PREPROCESSING)


def mel(hertz: float) -> float:
    """Returns a frequency in mel (O'Shaughnessy, 1987)."""
    return 2595.0 * math.log10(1.0 + hertz / 700.0)


def centres() -> np.ndarray:
    """Returns the middle of each mel band in Hz, [40], equally far apart in mel between 20 and 8,000 Hz."""
    edges = np.linspace(mel(20.0), mel(8000.0), BANDS + 2)[1:-1]
    return 700.0 * (10.0 ** (edges / 2595.0) - 1.0)


def cosines(bands: int, coefficients: int) -> np.ndarray:
    """Returns the orthonormal cosine transform (type II) as a matrix [bands, coefficients]."""
    angles = np.pi * (np.arange(bands)[:, np.newaxis] + 0.5) * np.arange(coefficients) / bands
    scale = np.full(coefficients, np.sqrt(2.0 / bands))
    scale[0] = np.sqrt(1.0 / bands)
    return np.cos(angles) * scale


def _sounds(word: str, generator: np.random.Generator) -> list[str]:
    if word != "unknown":
        return WORDS[word].split()
    known = {tuple(chain.split()) for chain in WORDS.values()}
    chain: tuple[str, ...] = ()
    while chain in known:  # The empty chain is silence.
        chain = tuple(generator.choice(sorted(SOUNDS), generator.integers(2, 5)))
    return list(chain)


def _spoken(sounds: list[str], generator: np.random.Generator) -> np.ndarray:
    """Returns the energy of each step and band, [49, 40]: sounds that glide into each other, and noise."""
    tract, loudness = generator.uniform(0.82, 1.22), generator.uniform(-18, 0)
    slope = generator.uniform(-1.0, 0.3)  # Of the noise, in powers of the frequency.
    noise = (centres() / 1000.0) ** slope * 10 ** (generator.uniform(-45, -18) / 10)
    energies = np.tile(noise, (STEPS, 1))
    if sounds:
        lengths = np.array([SOUNDS[sound][0] for sound in sounds]) * generator.uniform(0.7, 1.3, len(sounds))
        lengths *= generator.uniform(16, 32) / max(lengths.sum(), 1.0)  # Steps: a third to two thirds of the second.
        start = generator.uniform(1, STEPS - 1 - min(lengths.sum(), STEPS - 3))
        middles = start + np.cumsum(lengths) - lengths / 2
        shapes = np.stack([_envelope(sound, tract, generator) for sound in sounds])
        steps = np.arange(STEPS)
        decibels = np.stack([np.interp(steps, middles, shape) for shape in shapes.T], axis=1)
        edges = np.maximum(0, np.maximum(start - steps, steps - (start + lengths.sum())))
        energies += 10 ** ((decibels + loudness - 12.0 * edges[:, np.newaxis]) / 10)
    return energies * generator.gamma(4.0, 0.25, energies.shape)  # The spread of a short window's energy.


def _envelope(sound: str, tract: float, generator: np.random.Generator) -> np.ndarray:
    """Returns a sound's spectrum in dB, [40], for a voice whose resonances lie `tract` times as high."""
    energy = np.full(BANDS, 1e-6)
    for centre, width, gain in SOUNDS[sound][1]:
        at = centre * tract * generator.normal(1.0, 0.04)
        energy += 10 ** (gain / 10) / (1.0 + ((centres() - at) / width) ** 2)
    return 10 * np.log10(energy)
