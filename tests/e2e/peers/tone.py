"""What a peer says and hears: a tone, and how loud tones are in what comes back."""

import json
import math
import sys

RATE = 8000
WINDOW = 2400


def samples(frequency, count, rate, start):
    """16-bit samples of a tone, from the sample with this number on."""
    step = 2 * math.pi * frequency / rate
    return [int(12000 * math.sin(step * (start + n))) for n in range(count)]


def level(heard, frequency):
    """How loud a tone is in 16-bit samples at RATE, from 0 to 1 (Goertzel)."""
    factor = 2 * math.cos(2 * math.pi * frequency / RATE)
    before = last = 0.0
    for sample in heard:
        before, last = last, sample / 32768 + factor * last - before
    power = last * last + before * before - factor * last * before
    return 2 * math.sqrt(max(power, 0)) / len(heard)


class Ear:
    """Keeps the last samples that came, and tells now and then how loud the tones are in them."""

    def __init__(self, frequencies):
        self.frequencies = frequencies
        self.heard = []
        self.since = 0

    def hear(self, pcm):
        self.heard = (self.heard + list(pcm))[-WINDOW:]
        self.since += len(pcm)
        if len(self.heard) == WINDOW and self.since >= WINDOW:
            self.since = 0
            tell(levels=[level(self.heard, frequency) for frequency in self.frequencies])


def tell(**what):
    """One line of JSON for the test."""
    print(json.dumps(what), flush=True)


def read_sdp():
    """The SDP that the test writes."""
    return json.loads(sys.stdin.readline())["sdp"]
