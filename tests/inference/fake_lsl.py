"""The Lab Streaming Layer without a network or a clock: what mne-lsl offers of it, played from parts."""

import dataclasses
import types

import numpy as np

from keras_emotion.synthetic.streams import chunks


@dataclasses.dataclass
class Info:
    """Description of a stream that can be found from `start` until `stop`."""

    part: object
    uid: str
    start: float
    stop: float
    hostname: str = "here"

    def __post_init__(self):
        self.source_id, self.sfreq, self.dtype = self.part.source_id, self.part.sampling_rate_hz, np.float32
        self.n_channels = len(self.part.signal)

    def get_channel_names(self):
        return list(self.part.channel_names)

    def get_channel_units(self):
        return None if self.part.unit is None else [self.part.unit] * len(self.part.channel_names)


class FakeLsl(types.SimpleNamespace):
    """Stands for `mne_lsl.lsl`; time passes when a receiver waits.

    Args:
        parts: what is played; every part is sent as another sender, who goes at its end.
        origin_seconds: time stamp of the start.
        speed: how many times faster than real time.
        says_lost: whether a receiver is told that its sender has gone; else it is only silent.
    """

    def __init__(self, parts, origin_seconds=100.0, speed=1.0, says_lost=True):
        self.now, self.speed, self.says_lost, self.infos, self.others = 100.0, speed, says_lost, [], []
        at = 0.0
        for number, part in enumerate(parts):
            sent = list(chunks(part, at, origin_seconds))
            start, at = at + part.pause_seconds, at + part.seconds
            info = Info(part, f"uid{number}", 100.0 + start / speed, 100.0 + at / speed)
            # Who connects late gets all of it, too: windows so start at the same samples in every test.
            info.sent = [(100.0 + one.due_seconds / speed, one.samples, one.stamps) for one in sent]
            self.infos.append(info)

    def local_clock(self):
        return self.now

    def resolve_streams(self, timeout, name, minimum):
        found = [one for one in [*self.infos, *self.others] if one.start <= self.now < one.stop]
        if len(found) < minimum:
            self.now += timeout
        return found

    def StreamInlet(self, info, processing_flags, recover):
        assert processing_flags == ["clocksync"]
        assert not recover
        return Inlet(self, info)


class Inlet:
    """A receiver of one sender."""

    def __init__(self, lsl, info):
        self._lsl, self._info, self._place = lsl, info, 0

    def open_stream(self, timeout):
        if self._lsl.now >= self._info.stop:
            raise TimeoutError

    def get_sinfo(self):
        return self._info

    def close_stream(self):
        pass

    def pull_chunk(self, timeout):
        self._lsl.now += timeout
        sent = self._info.sent
        stop = self._place
        while stop < len(sent) and sent[stop][0] <= self._lsl.now:
            stop += 1
        new, self._place = sent[self._place : stop], stop
        if not new:
            if self._place == len(sent) and self._lsl.now >= self._info.stop and self._lsl.says_lost:
                raise RuntimeError("lost")
            return np.empty((0, self._info.n_channels), np.float32), np.empty(0)
        samples = np.concatenate([samples for _, samples, _ in new]).astype(np.float32)
        return samples, np.concatenate([stamps for *_, stamps in new])


class DirectReceiver:
    """`keras_emotion.inference.live.Receiver` without a thread, so that the clock of the fake stays the only one."""

    def __init__(self, inlet, sampling_rate_hz):
        self._inlet, self.is_lost = inlet, False

    def pull(self):
        if not self.is_lost:
            try:
                return self._inlet.pull_chunk(timeout=0.05)
            except RuntimeError:
                self.is_lost = True
        return np.empty((0, 0)), np.empty(0)

    def close(self):
        self._inlet.close_stream()
