"""The acoustic model: pocketsphinx's English one, with a lexicon that says how words sound and how widely it looks.

A decoder belongs to one call at a time and forgets it afterwards: without the reset of the cepstral mean, how one
caller sounds would change what is heard of the next one.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pocketsphinx

from dataplane.errors import BrokenMix
from dataplane.front import RATE_HZ
from dataplane.grammar import Grammar

MODEL = Path(pocketsphinx.get_model_path()) / "en-us" / "en-us"
KEPT = 16


@dataclass
class Acoustic:
    """A lexicon and its settings; decoders for a grammar are made when they are needed, and used again."""

    lexicon: Path
    words: frozenset[str]
    settings: dict[str, Any]
    mean: str
    _idle: dict[str, list[pocketsphinx.Decoder]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def decoder(self, grammar: Grammar) -> pocketsphinx.Decoder:
        """A decoder that has heard nothing. Raises BrokenMix where the grammar has words that the lexicon lacks."""
        with self._lock:
            idle = self._idle.get(grammar.jsgf)
            found = idle.pop() if idle else None
        return found or self._make(grammar)

    def done(self, grammar: Grammar, decoder: pocketsphinx.Decoder) -> None:
        """Gives a decoder back."""
        with self._lock:
            idle = self._idle.setdefault(grammar.jsgf, [])
            if len(idle) < KEPT:
                idle.append(decoder)

    def _make(self, grammar: Grammar) -> pocketsphinx.Decoder:
        try:
            made = pocketsphinx.Decoder(
                hmm=str(MODEL), dict=str(self.lexicon), lm=None, samprate=RATE_HZ, loglevel="FATAL",
                bestpath=False, **self.settings,
            )  # fmt: skip
            made.add_jsgf_string("calls", grammar.jsgf)
            made.activate_search("calls")
        except (RuntimeError, ValueError, KeyError) as error:
            raise BrokenMix(
                f"The grammar has words that the acoustic model has no sounds for ({error}). Release both together."
            ) from error
        return made


class Hearing:
    """What one call has said so far."""

    def __init__(self, acoustic: Acoustic, grammar: Grammar) -> None:
        self._acoustic, self._grammar = acoustic, grammar
        self._decoder = acoustic.decoder(grammar)
        self._decoder.set_cmn(acoustic.mean)
        self._decoder.start_utt()
        self._open = True

    def piece(self, samples: bytes) -> str:
        """The words so far, after another piece of sound."""
        self._decoder.process_raw(samples, False, False)
        return self._words()

    def end(self) -> str:
        """The words of the whole call. The decoder goes back."""
        self._decoder.end_utt()
        said = self._words()
        self._open = False
        self._acoustic.done(self._grammar, self._decoder)
        return said

    def drop(self) -> None:
        """A call that ended early."""
        if self._open:
            self.end()

    def _words(self) -> str:
        found = self._decoder.hyp()
        return found.hypstr if found is not None else ""


def load(folder: Path) -> Acoustic:
    """The model in `folder`. Raises OSError, ValueError or KeyError, also for another release of pocketsphinx."""
    data = json.loads((folder / "acoustic.json").read_text("utf-8"))
    lexicon = folder / "words.dict"
    words = (line.split("(")[0].split()[0] for line in lexicon.read_text("utf-8").splitlines() if line)
    return Acoustic(lexicon, frozenset(words), data["settings"], data["mean"])
