"""A WebRTC peer made of aiortc. Arguments: offer or answer, its tone and the tones to look for, in Hz."""

import asyncio
import fractions
import sys

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from tone import RATE, Ear, read_sdp, samples, tell

ROLE, FREQUENCY, *LISTEN = sys.argv[1], *map(int, sys.argv[2:])


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.sent = 0
        self.began = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.began = self.began or loop.time()
        await asyncio.sleep(max(0, self.began + self.sent / RATE - loop.time()))
        frame = av.AudioFrame(format="s16", layout="mono", samples=160)
        pcm = samples(FREQUENCY, 160, RATE, self.sent)
        frame.planes[0].update(b"".join(sample.to_bytes(2, "little", signed=True) for sample in pcm))
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += 160
        return frame


async def listen(track):
    ear = Ear(LISTEN)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    while True:
        for frame in resampler.resample(await track.recv()):
            octets = bytes(frame.planes[0])[: 2 * frame.samples]
            ear.hear(memoryview(octets).cast("h"))


async def main():
    loop = asyncio.get_running_loop()
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    listeners = []
    peer.on("track", lambda track: listeners.append(asyncio.ensure_future(listen(track))))
    peer.on("connectionstatechange", lambda: tell(state=peer.connectionState))
    if ROLE == "answer":
        await peer.setRemoteDescription(RTCSessionDescription(await loop.run_in_executor(None, read_sdp), "offer"))
    peer.addTrack(Tone())
    if ROLE == "offer":
        await peer.setLocalDescription(await peer.createOffer())
        tell(sdp=peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(await loop.run_in_executor(None, read_sdp), "answer"))
    else:
        await peer.setLocalDescription(await peer.createAnswer())
        tell(sdp=peer.localDescription.sdp)
    await asyncio.Event().wait()


asyncio.run(main())
