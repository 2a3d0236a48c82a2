"""A WebRTC peer made of GStreamer's webrtcbin. Arguments: offer or answer, its tone and the tones to look for, in Hz."""

import hashlib
import re
import ssl
import subprocess
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

from tone import RATE, Ear, read_sdp, tell  # noqa: E402

ROLE, FREQUENCY, *LISTEN = sys.argv[1], *map(int, sys.argv[2:])

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=peer"]
CERTIFICATE = subprocess.run(
    ["openssl", "req", "-x509", *CURVE, "-keyout", "-"], check=True, capture_output=True, text=True
).stdout
DIGEST = hashlib.sha256(ssl.PEM_cert_to_DER_cert(CERTIFICATE[CERTIFICATE.index("-----BEGIN CERTIFICATE") :])).digest()

Gst.init(None)
pipeline = Gst.parse_launch(
    f"webrtcbin name=peer bundle-policy=max-bundle audiotestsrc is-live=true freq={FREQUENCY} volume=0.4 "
    "! audio/x-raw,rate=8000,channels=1 ! audioconvert ! alawenc ! rtppcmapay "
    "! application/x-rtp,media=audio,encoding-name=PCMA,clock-rate=8000,payload=8 ! queue ! peer."
)
peer = pipeline.get_by_name("peer")
ear = Ear(LISTEN)


def on_sample(sink):
    buffer = sink.emit("pull-sample").get_buffer()
    ear.hear(memoryview(buffer.extract_dup(0, buffer.get_size())).cast("h"))
    return Gst.FlowReturn.OK


def on_pad(_, pad):
    if pad.direction != Gst.PadDirection.SRC:
        return
    text = f"rtppcmadepay ! alawdec ! audioconvert ! audio/x-raw,format=S16LE,rate={RATE},channels=1 ! appsink name=ear"
    heard = Gst.parse_bin_from_description(text + " emit-signals=true sync=false", True)
    heard.get_by_name("ear").connect("new-sample", on_sample)
    pipeline.add(heard)
    heard.sync_state_with_parent()
    pad.link(heard.get_static_pad("sink"))


def description(kind, text):
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(kind, message)


def set_remote(kind):
    """Reads on a thread of its own, as GLib's must go on, and sets what the test writes."""
    text = read_sdp()
    promise = Gst.Promise.new_with_change_func(lambda *_: on_remote(kind))
    peer.emit("set-remote-description", description(kind, text), promise)


def on_remote(kind):
    if kind == GstWebRTC.WebRTCSDPType.OFFER:
        peer.emit("create-answer", None, Gst.Promise.new_with_change_func(on_created, "answer"))


def on_created(promise, name):
    # A description lives no longer than the reply that it is part of.
    reply = promise.get_reply()
    text = reply.get_value(name).sdp.as_text()
    kind = GstWebRTC.WebRTCSDPType.OFFER if name == "offer" else GstWebRTC.WebRTCSDPType.ANSWER
    peer.emit("set-local-description", description(kind, text), Gst.Promise.new())


def on_element(_, __, element):
    """Its own certificates are RSA, which the relay does not take."""
    if element.__gtype__.name == "GstDtlsSrtpDec":
        element.set_property("pem", CERTIFICATE)


def on_gathering(element, _):
    if element.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        text = element.get_property("local-description").sdp.as_text()
        # It digests the key along with a certificate that it was given.
        tell(sdp=re.sub("(?<=a=fingerprint:sha-256 )[0-9A-F:]+", DIGEST.hex(":").upper(), text))
        if ROLE == "offer":
            threading.Thread(target=set_remote, args=[GstWebRTC.WebRTCSDPType.ANSWER], daemon=True).start()


def on_state(element, _):
    tell(state=element.get_property("connection-state").value_nick)


def on_negotiation_needed(element):
    """It knows what it sends, without which it does not answer either."""
    element.disconnect(negotiation)
    if ROLE == "offer":
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(on_created, "offer"))
    else:
        threading.Thread(target=set_remote, args=[GstWebRTC.WebRTCSDPType.OFFER], daemon=True).start()


pipeline.connect("deep-element-added", on_element)
peer.connect("pad-added", on_pad)
peer.connect("notify::ice-gathering-state", on_gathering)
peer.connect("notify::connection-state", on_state)
negotiation = peer.connect("on-negotiation-needed", on_negotiation_needed)
pipeline.set_state(Gst.State.PLAYING)
GLib.MainLoop().run()
