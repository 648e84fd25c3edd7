"""Calls: a sentence said by a voice of espeak-ng, on a line that is quiet, in a street, in a room or on a telephone.

All of it depends on a seed and nothing else; another version of espeak-ng speaks a little differently.
"""

from __future__ import annotations

import io
import subprocess
import sys
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, resample_poly

from dataplane.front import RATE_HZ, compressed
from tools.sentences import sentence, share

VOICES = {
    "us": "en-us",
    "british": "en-gb",
    "scottish": "en-gb-scotland",
    "west-midlands": "en-gb-x-gbcwmd",
    "caribbean": "en-029",
    "spanish": "es",
}
SPEAKERS = ("", "", "+f2", "+m3")
LINES = {"quiet": 0.6, "street": 0.15, "room": 0.1, "telephone": 0.15}
STREET_DB = 18.0
SILENCE_S = 0.2
Sound = NDArray[np.float64]


@dataclass(frozen=True)
class Spoken:
    """A call: what was said, by whom, over which line, and its sound as it is sent."""

    said: str
    translated: str
    accent: str
    language: str
    line: str
    codec: str
    sound: bytes


def drawn(shares: dict[str, float], *seed: object) -> str:
    """One of the names, as often as its share says."""
    left = share(*seed) * sum(shares.values())
    for name, part in shares.items():
        left -= part
        if left < 0:
            return name
    return next(reversed(shares))


def call(accents: dict[str, float], lines: dict[str, float], *seed: object) -> Spoken:
    """The call that belongs to `seed`. Ends the program without espeak-ng."""
    accent, line = drawn(accents, *seed, "accent"), drawn(lines, *seed, "line")
    language = "es" if accent == "spanish" else "en"
    words = sentence(language, *seed)
    speaker = SPEAKERS[int(share(*seed, "speaker") * len(SPEAKERS))]
    speed, pitch = 145 + int(share(*seed, "speed") * 35), 35 + int(share(*seed, "pitch") * 35)
    sound = spoken(VOICES[accent] + speaker, words.said, speed, pitch)
    random = np.random.default_rng(int(share(*seed, "noise") * 2**32))
    quiet = random.normal(0, 8, int(SILENCE_S * RATE_HZ))
    sound = over(line, np.concatenate((quiet, sound, quiet)), random)
    samples = np.clip(sound, -32768, 32767).astype(np.int16)
    telephone = line == "telephone"
    sent = compressed(resampled(samples, 1, 2)) if telephone else samples.tobytes()
    codec = "pcmu-8khz" if telephone else "pcm16-16khz"
    return Spoken(words.said, words.translated, accent, language, line, codec, sent)


def spoken(voice: str, text: str, speed: int, pitch: int) -> Sound:
    """What espeak-ng says, at 16 kHz, at half of full scale."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    try:
        said = subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        sys.exit("espeak-ng is not installed, and the callers are its voices. Install it: apt-get install espeak-ng.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"espeak-ng can't speak as {voice} ({error.stderr.decode(errors='replace').strip()}).")
    with wave.open(io.BytesIO(said)) as file:
        rate, frames = file.getframerate(), file.readframes(file.getnframes())
    samples = resample_poly(np.frombuffer(frames, np.int16).astype(float), RATE_HZ, rate)
    return np.asarray(samples * (16_000 / max(1.0, float(np.abs(samples).max()))))


def over(line: str, sound: Sound, random: np.random.Generator) -> Sound:
    """The sound as it comes through a line."""
    if line == "street":
        noise = np.cumsum(random.normal(0, 1, sound.size)) * 0.02 + random.normal(0, 1, sound.size)
        wanted = float(np.sqrt(np.mean(sound**2))) / 10 ** (STREET_DB / 20)
        return sound + noise * (wanted / float(noise.std()))
    if line == "room":
        seconds = np.arange(int(0.15 * RATE_HZ)) / RATE_HZ
        echo = random.normal(0, 0.02, seconds.size) * np.exp(-seconds / 0.04)
        echo[0] = 1.0
        return np.asarray(fftconvolve(sound, echo)[: sound.size])
    return sound


def resampled(samples: NDArray[np.int16], up: int, down: int) -> NDArray[np.int16]:
    return np.clip(resample_poly(samples.astype(float), up, down), -32768, 32767).astype(np.int16)
