"""Synthetic EEG trials: pink noise with the correlation of real electrodes and adjustable band powers.

A trial is the sum over bands `b` of noise `n[b]` of channels `c` and time `t`, each scaled by its log-power:

    x[c, t] = sum_b exp(p[b, c, t] / 2) n[b, c, t],    p = subject + effect + stimulus + fingerprint

The noise is generated in the frequency domain, for all channels and bands at once. `subject` is constant for a subject,
`effect` for a trial and proportional to its rating (or it follows a given course). Two terms are independent of the
ratings and can leak through a split: `fingerprint`, drawn for each trial, makes the windows of one trial similar;
`stimulus`, the same pattern whenever a subject sees a stimulus, makes two trials of it similar.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.fft

from keras_emotion.signals import electrode_directions

BAND_EDGES_HZ: Mapping[str, tuple[float, float]] = {
    "theta": (0.0, 7.5),
    "alpha": (7.5, 13.5),
    "beta": (13.5, 30.5),
    "gamma": (30.5, np.inf),
}
"""Adjustable bands, which cover the whole spectrum, with edges between those of the bands in publications."""

EEG_RMS_UV = 10.0
CORRELATION_LENGTH_M = 0.06
"""Length in metres of the correlation between electrodes, `exp(-distance / CORRELATION_LENGTH_M)`."""

FOCUS_WIDTH_M = 0.05
FINGERPRINT_SECONDS = 20.0
SUBJECT_LOG_POWER_SD = 0.3

_CEREBELLAR = {"CB1": "POO9", "CB2": "POO10"}

# Last element of the seeds `[seed, subject, stimulus, ...]` of stimulus patterns; the datasets use others.
_STIMULUS_SEED = 21


@dataclasses.dataclass(frozen=True, eq=False)
class EEGNoise:
    """Generator of trials of one length, which computes everything that does not depend on the trial once.

    Args:
        channel_names: names of electrodes in the 10-10 system.
        sampling_rate_hz: samples per second.
        n_samples: samples of a trial, baseline included.
        n_baseline_samples: samples before stimulus onset.
        pass_band_hz: pass band of the signals, with a roll-off of order 4.
        fingerprint_in_baseline: extend the fingerprint to the baseline, where a baseline correction can use it.
    """

    channel_names: tuple[str, ...]
    sampling_rate_hz: float
    n_samples: int
    n_baseline_samples: int
    pass_band_hz: tuple[float, float]
    fingerprint_in_baseline: bool = False

    @functools.cached_property
    def frequencies_hz(self) -> np.ndarray:
        """Frequencies of the one-sided spectrum."""
        return np.fft.rfftfreq(self.n_samples, 1 / self.sampling_rate_hz)

    @functools.cached_property
    def band_amplitude(self) -> np.ndarray:
        """`(bands, 1, frequencies)` amplitude of pink noise in the pass band, split into bands."""
        frequencies = np.maximum(self.frequencies_hz, self.frequencies_hz[1])
        low, high = self.pass_band_hz
        # Squared magnitude of a Butterworth band-pass, as for forward-backward filtering.
        roll_off = 1 / (1 + ((frequencies**2 - low * high) / (frequencies * (high - low))) ** 8)
        amplitude = spectrum_of_rms(frequencies**-0.5 * roll_off, self.n_samples, EEG_RMS_UV)
        edges = np.array(list(BAND_EDGES_HZ.values()))[:, :, None]
        in_band = (edges[:, 0] <= self.frequencies_hz) & (self.frequencies_hz < edges[:, 1])
        return (in_band * amplitude)[:, None].astype(np.float32)

    @functools.cached_property
    def mixing(self) -> np.ndarray:
        """`(channels, channels)` matrix that gives independent noise the correlation of the electrodes."""
        positions = electrode_positions_m(self.channel_names)
        distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
        return np.linalg.cholesky(np.exp(-distances / CORRELATION_LENGTH_M)).astype(np.float32)

    @functools.cached_property
    def fingerprint_basis(self) -> np.ndarray:
        """`(knots, samples)` weights that interpolate one normal random number per knot into fluctuating noise.

        It has unit variance and the autocorrelation `exp(-t^2 / (2 FINGERPRINT_SECONDS^2))`: a sum of bumps of that
        width, half of it apart.
        """
        seconds = (np.arange(self.n_samples) - self.n_baseline_samples) / self.sampling_rate_hz
        margin = 2 * FINGERPRINT_SECONDS
        knots = np.arange(seconds[0] - margin, seconds[-1] + margin, FINGERPRINT_SECONDS / 2)
        basis = np.exp(-(((seconds - knots[:, None]) / FINGERPRINT_SECONDS) ** 2))
        basis /= np.linalg.norm(basis, axis=0)
        if not self.fingerprint_in_baseline:
            basis[:, : self.n_baseline_samples] = 0
        return basis.astype(np.float32)

    def focus(self, electrodes: Sequence[str]) -> np.ndarray:
        """Return `(channels,)` weights in 0..1 that decrease with the distance from the nearest of some electrodes."""
        positions, centres = electrode_positions_m(self.channel_names), electrode_positions_m(tuple(electrodes))
        nearest = np.linalg.norm(positions[:, None] - centres, axis=-1).min(axis=1)
        return np.exp(-((nearest / FOCUS_WIDTH_M) ** 2))

    def subject_log_power(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the `(bands, channels)` log-power by which a subject differs from the others."""
        return rng.normal(0, SUBJECT_LOG_POWER_SD, (len(BAND_EDGES_HZ), len(self.channel_names)))

    def stimulus_log_power(self, seed: int, subject: int, stimulus: int, size: float) -> np.ndarray | None:
        """Draw the log-power pattern of a stimulus in the EEG of one subject, the same for each presentation.

        Args:
            seed: seed of the dataset.
            subject: number of the subject.
            stimulus: number of the stimulus.
            size: standard deviation over stimuli of each channel and band, in natural log-power.

        Returns:
            `(bands, channels)` natural log-power, independent between subjects and stimuli; `None` for size 0.
        """
        if size == 0:
            return None
        rng = np.random.default_rng([seed, subject, stimulus, _STIMULUS_SEED])
        return rng.normal(0, size, (len(BAND_EDGES_HZ), len(self.channel_names)))

    def trial(
        self,
        rng: np.random.Generator,
        subject_log_power: np.ndarray,
        effect_log_power: np.ndarray,
        fingerprint_size: float,
        effect_courses: np.ndarray | None = None,
        couplings: np.ndarray | None = None,
        stimulus_log_power: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generate one average-referenced trial.

        Args:
            rng: generator of the noise.
            subject_log_power: `(bands, channels)` natural log-power of each band during the whole trial.
            effect_log_power: the same from stimulus onset on.
            fingerprint_size: standard deviation of the natural log-power of each channel and band over trials.
            effect_courses: `(effects, samples)` factors of effects that vary during the trial; `effect_log_power` is
                then `(effects, bands, channels)`. By default one constant effect.
            couplings: `(sources, channels)` shares `s` in -1 to 1 of sources that channels have in common from stimulus
                onset on; the sum of their squares is at most 1 in each channel. The noise of a channel becomes `sqrt(1
                - sum s^2)` of its own and `s` of each source, which is also pink noise: the shared component of
                channels changes, and their power does not.
            stimulus_log_power: `(bands, channels)` natural log-power from stimulus onset on, constant even if the
                effects are not; see `stimulus_log_power`.

        Returns:
            `(channels, samples)` float32, microvolts.
        """
        n_channels, n_bands = len(self.channel_names), len(BAND_EDGES_HZ)
        white = rng.standard_normal((n_channels, 2 * len(self.frequencies_hz)), np.float32).view(np.complex64)
        bands = scipy.fft.irfft(self.band_amplitude * (self.mixing @ white), self.n_samples, axis=-1)
        knots = rng.standard_normal((n_bands * n_channels, len(self.fingerprint_basis)), np.float32)
        # One matrix product gives the log-power of every band, channel and sample: noise, subject and effect.
        is_stimulus = np.arange(self.n_samples) >= self.n_baseline_samples
        courses = np.ones((1, self.n_samples)) if effect_courses is None else effect_courses
        effects = effect_log_power.reshape(len(courses), -1)
        if stimulus_log_power is not None:
            # An extra row only if there is a pattern, because a product of other sizes may round differently.
            courses = np.vstack([courses, np.ones(self.n_samples)])
            effects = np.vstack([effects, stimulus_log_power.ravel()])
        basis = np.vstack([self.fingerprint_basis, np.ones(self.n_samples), is_stimulus * courses]).astype(np.float32)
        weights = np.column_stack([fingerprint_size * knots, subject_log_power.ravel(), effects.T])
        gain = np.exp((weights / 2).astype(np.float32) @ basis)
        if couplings is not None:
            # Drawn last, so that couplings change no other random number.
            white = rng.standard_normal((len(couplings), 2 * len(self.frequencies_hz)), np.float32).view(np.complex64)
            sources = scipy.fft.irfft(self.band_amplitude * white, self.n_samples, axis=-1)
            own = np.sqrt(1 - np.square(couplings).sum(axis=0))[:, np.newaxis]
            # Applied to the average-referenced channels, so that a source is as strong as the noise that it replaces;
            # otherwise channels that correlate with their neighbours would receive more of it.
            centring = np.eye(n_channels) - 1 / n_channels
            left = np.linalg.norm(centring @ self.mixing, axis=1)
            shares = (couplings * left).T.astype(np.float32)
            mixed = own.astype(np.float32) * (bands - bands.mean(axis=1, keepdims=True)) + shares @ sources
            bands = np.where(is_stimulus, mixed, bands)
        bands *= gain.reshape(bands.shape)
        signal = bands.sum(axis=0)
        return signal - signal.mean(axis=0)


def spectrum_of_rms(amplitude: np.ndarray, n_samples: int, rms: float | np.ndarray) -> np.ndarray:
    """Scale amplitudes of a one-sided spectrum to a given RMS of the signal.

    Their product with complex unit noise is the spectrum of such a signal.

    `irfft` of `A[k] (u + iv)` with standard normal `u`, `v` has the variance `4 sum A[k]^2 / n^2`.
    """
    return amplitude * (n_samples * rms / 2 / np.linalg.norm(amplitude, axis=-1, keepdims=True))


@functools.cache
def electrode_positions_m(names: tuple[str, ...]) -> np.ndarray:
    """Return `(names, 3)` electrode positions on a standard head, in metres (MNE's `easycap-M1`).

    Electrodes missing there are placed in their 10-5 direction, at the same distance from the centre; CB1 and CB2 are
    in neither, and are placed at POO9 and POO10, below and lateral to O1 and O2.
    """
    import mne

    positions = mne.channels.make_standard_montage("easycap-M1").get_positions()["ch_pos"]
    radius = np.linalg.norm(positions["Cz"])
    others = [name for name in names if name not in positions]
    directions = electrode_directions([_CEREBELLAR.get(name, name) for name in others])
    positions |= dict(zip(others, radius * directions, strict=True))
    return np.array([positions[name] for name in names])
