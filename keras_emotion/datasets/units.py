"""Parse units of signals in files, sidecars and streams: one table for all of them."""

from __future__ import annotations

import dataclasses
import re
import unicodedata

UNKNOWN = "a.u."
"""Unit of a channel whose unit is unknown."""

_PREFIXES = {"": 1.0, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6}
_PREFIX_WORDS = {"pico": "p", "nano": "n", "micro": "u", "milli": "m", "kilo": "k", "mega": "M"}

# Base unit by symbol or word (lower case), and its unit in loaded recordings.
_BASES = {"v": "V", "volt": "V", "volts": "V", "s": "S", "siemens": "S", "ohm": "ohm", "ohms": "ohm"}
_GIVEN_IN = {"V": ("uV", 1e6), "S": ("uS", 1e6), "ohm": ("ohm", 1.0)}
# Of skin conductance, nS stays too, so that stored models and features remain valid.
_KEPT = {("k", "ohm"): "kOhm", ("n", "S"): "nS"}
_AS_THEY_ARE = {
    "c": "degC",
    "degc": "degC",
    "\N{DEGREE SIGN}c": "degC",
    "celsius": "degC",
    "deg c": "degC",
    "oc": "degC",
    "%": "%",
    "percent": "%",
    "bpm": "bpm",
    "a.u.": UNKNOWN,
    "au": UNKNOWN,
    "n/a": UNKNOWN,
    "": UNKNOWN,
}
# The small mu of Japanese recorders, whose bytes are read as Latin-1.
_SHIFT_JIS_MU = "\x83\xca"
_PARTS = re.compile(r"(?P<prefix>[pnumkM]?)(?P<base>[A-Za-z]+)")
_WORDS = re.compile(r"(?P<prefix>pico|nano|micro|milli|kilo|mega)?\s*(?P<base>volts?|siemens|ohms?)")


@dataclasses.dataclass(frozen=True)
class Unit:
    """Interpretation of a unit.

    Args:
        name: unit of such signals in loaded recordings: `"uV"`, `"uS"`, `"nS"`, `"ohm"`, `"kOhm"`, `"degC"`, `"%"`,
            `"bpm"`, or the original spelling if it is none of them.
        factor: factor from the original unit to `name`.
        is_known: whether the unit is in the table.
    """

    name: str
    factor: float
    is_known: bool

    @property
    def is_voltage(self) -> bool:
        """Whether the unit is a voltage."""
        return self.name == "uV"


def read_unit(text: str | None) -> Unit:
    """Parse a unit of a file, sidecar or stream.

    Both mu characters are equivalent; the prefixes `m` (milli) and `M` (mega) are case-sensitive, as in the SI, and
    words (`microvolts`) are case-insensitive.

    Args:
        text: the unit as spelled; `None` if missing.

    Example:
        >>> read_unit("\N{GREEK SMALL LETTER MU}V"), read_unit("nanovolts").factor, read_unit("kOhm").name
        (Unit(name='uV', factor=1.0, is_known=True), 0.001, 'kOhm')
    """
    # Compatibility forms: the micro sign becomes the Greek letter, the Ohm sign the letter omega.
    spelt = unicodedata.normalize("NFKC", (text or "").replace(_SHIFT_JIS_MU, "u")).strip()
    plain = spelt.replace("\N{GREEK SMALL LETTER MU}", "u").replace("\N{GREEK CAPITAL LETTER OMEGA}", "ohm")
    if plain.lower() in _AS_THEY_ARE:
        name = _AS_THEY_ARE[plain.lower()]
        return Unit(name, 1.0, is_known=name != UNKNOWN)
    word = _WORDS.fullmatch(plain.lower())
    symbol = _PARTS.fullmatch("u" + plain[1:] if plain[:1] == "U" else plain)
    if word:
        prefix, base = _PREFIX_WORDS.get(word["prefix"] or "", ""), _BASES[word["base"]]
    elif symbol and symbol["base"].lower() in _BASES and not (symbol["base"] == "s" and symbol["prefix"] in "munpk"):
        prefix, base = symbol["prefix"], _BASES[symbol["base"].lower()]
    else:
        return Unit(spelt, 1.0, is_known=False)
    if (prefix, base) in _KEPT:
        return Unit(_KEPT[prefix, base], 1.0, is_known=True)
    name, per_base = _GIVEN_IN[base]
    return Unit(name, _rounded(_PREFIXES[prefix] * per_base), is_known=True)


def _rounded(factor: float) -> float:
    # 1e-9 times 1e6 differs from 1e-3 in the last bit.
    return float(f"{factor:.12g}")
