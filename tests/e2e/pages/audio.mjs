// Tones out and tones measured: what every test page does with sound.

import { goertzel } from './goertzel.mjs';

/** One page's microphone and ear. */
export class Sound {
  constructor() {
    this.context = new AudioContext();
    this.oscillator = this.context.createOscillator();
    this.gain = this.context.createGain();
    this.gain.gain.value = 0.5;
    this.microphone = this.context.createMediaStreamDestination();
    this.oscillator.connect(this.gain).connect(this.microphone);
    this.oscillator.start();
    this.analyser = null;
  }

  /** Begins to make sound. Resolves when the browser lets it. */
  async start(frequency) {
    this.oscillator.frequency.value = frequency;
    await this.context.resume();
  }

  /** A stream with one track of the tone, new for every call: libraries stop the tracks they were given. */
  stream() {
    return new MediaStream(this.microphone.stream.getAudioTracks().map((track) => track.clone()));
  }

  /** Listens to what a peer connection receives. */
  listen(connection) {
    const tracks = connection.getReceivers().map((receiver) => receiver.track).filter((track) => track?.kind === 'audio');
    const stream = new MediaStream(tracks);
    // Chromium decodes a remote stream only when an element plays it.
    this.element = new Audio();
    this.element.muted = true;
    this.element.srcObject = stream;
    this.element.play().catch(() => {});
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 8192;
    this.analyser.smoothingTimeConstant = 0;
    this.context.createMediaStreamSource(stream).connect(this.analyser);
  }

  /** How loud each frequency is right now, from 0 to 1, by Goertzel's algorithm over about 0.17 s. */
  hear(frequencies) {
    if (!this.analyser) return frequencies.map(() => 0);
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    return frequencies.map((frequency) => goertzel(samples, this.context.sampleRate, frequency));
  }
}

/** A video track that changes. */
export function picture() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
  const context = canvas.getContext('2d');
  let hue = 0;
  setInterval(() => {
    context.fillStyle = `hsl(${(hue += 9)}, 80%, 50%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 66);
  return canvas.captureStream(15).getVideoTracks()[0];
}

/** What the test wants to know of a connection: selected pair, packets, codecs and reports. */
export async function summarize(connection) {
  const summary = { received: 0, sent: 0, codec: null, dtls: null, ice: connection.iceConnectionState, frames: 0, told: {} };
  summary.ufrag = /a=ice-ufrag:(\S+)/.exec(connection.localDescription.sdp)?.[1];
  const stats = await connection.getStats();
  stats.forEach((entry) => {
    if (entry.type === 'inbound-rtp' && entry.kind === 'audio') {
      summary.received += entry.packetsReceived;
      summary.codec = stats.get(entry.codecId)?.mimeType ?? summary.codec;
    }
    if (entry.type === 'inbound-rtp' && entry.kind === 'video') summary.frames += entry.framesDecoded ?? 0;
    if (entry.type === 'outbound-rtp' && entry.kind === 'audio') summary.sent += entry.packetsSent;
    // What the other side has said of both directions in RTCP.
    if (entry.type === 'remote-outbound-rtp' && entry.kind === 'audio') summary.told.sent = entry.packetsSent;
    if (entry.type === 'remote-inbound-rtp' && entry.kind === 'audio') {
      summary.told.lost = entry.packetsLost;
      summary.told.roundTrip = entry.roundTripTime;
    }
    if (entry.type === 'transport') summary.dtls = entry.srtpCipher ?? entry.dtlsState;
  });
  return summary;
}
