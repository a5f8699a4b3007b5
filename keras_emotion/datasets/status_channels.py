"""Recognise status channels of recorders: counters, contact quality, motion, battery."""

from __future__ import annotations

import re

_STATUS = re.compile(
    # Emotiv: EDF and CSV of TestBench, PureEEG and EmotivPRO.
    r"COUNTER(_MEMS)?|INTERPOLATED|RAW_CQ|[CE]Q[_.].+|GYRO[XYZ_].*|ACC[XYZ]|MAG[XYZ]|Q[0-3]|MARKERS?(_HARDWARE)?|SYNC"
    r"|MARKER(INDEX|TYPE|VALUEINT)|TIME_STAMP_M?S|BATTERY(_PERCENT)?|HIGHBITFLEX|SATURATIONFLAG|ORIGINALTIMESTAMP"
    # Muse: Mind Monitor, and Lab Streaming Layer streams.
    r"|(RAW_|RIGHT |LEFT )?AUX(_?(LEFT|RIGHT|L|R|_\d))?|AUX_\d|ACCELEROMETER_[XYZ]|HSI_.+|HEADBANDON"
    # OpenBCI.
    r"|ACCEL CHANNEL \d|(ANALOG|DIGITAL) CHANNEL .+|MARKER CHANNEL|OTHER|NOT USED|SAMPLE INDEX|PACKAGE NUM.*"
    r"|TIMESTAMP.*"
    # BioSemi; triggers of EDF and Curry; g.Nautilus.
    r"|STATUS|TRIGGERS?|VALIDATION|ACCELERATION.*",
    re.IGNORECASE,
)


def is_status_channel(name: str) -> bool:
    """Return whether a channel is a status channel of a recorder, and not a signal of the subject.

    Args:
        name: channel name in the file.

    Example:
        >>> [name for name in ("COUNTER", "CQ_AF3", "AF3", "Status", "AUX_RIGHT", "Aux1") if is_status_channel(name)]
        ['COUNTER', 'CQ_AF3', 'Status', 'AUX_RIGHT']
    """
    return _STATUS.fullmatch(name.strip()) is not None
