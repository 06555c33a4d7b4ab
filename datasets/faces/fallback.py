"""Decodes with PyAV what OpenCV can't: OpenCV's wheel lacks some decoders, including AV1."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError

# Single-file containers. Playlists and file lists are left out: they refer to other files, which may be anywhere.
CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,asf_o,ogg,ivf,obu,mxf,mxf_opatom,m4v,h264,hevc,vvc,av1,"
    "h263,vc1,mjpeg,dv,yuv4mpegpipe,nut,rm,gif,wtv"
)
PROTOCOLS = "file"
TAG_WITHIN = 1 << 20  # Bytes from either end of a file.
CODEC_TAG = re.compile(rb"vide.{24,600}?stsd.{12}([\w ]{4})|vids([\w ]{4})|(V_[\w/]{2,30})", re.DOTALL | re.ASCII)
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class FallbackVideo:
    """A video file's first video stream: its `codec` (empty if there is none), and its stated number of frames.

    A codec unknown to PyAV has its name in the file, such as `apv1`.
    """

    def __init__(self, path: Path):
        self.path = path
        self.codec, self.reported_frames = "", 0
        try:
            with self._open() as container:
                for stream in container.streams.video[:1]:
                    context = stream.codec_context
                    self.codec = context.codec.canonical_name if context else find_codec_tag(self.path)
                    self.reported_frames = stream.frames or _estimate_frames(stream, container)
        except (FFmpegError, ValueError):
            pass

    def frames(self) -> Iterator[Callable[[], np.ndarray]]:
        """Decode the whole file; yield, for each frame, a function that returns it upright, (H, W, 3) uint8 RGB."""
        if not self.codec:
            return
        with self._open() as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                return
            stream.thread_type, stream.thread_count = "NONE", 1  # The work is spread over videos.
            for packet in _read_packets(container, stream):
                try:
                    decoded = packet.decode()
                except FFmpegError:  # A damaged packet: the next ones may be good.
                    continue
                yield from (partial(_make_array, frame) for frame in decoded)

    def _open(self) -> av.container.InputContainer:
        return av.open(str(self.path), options={"format_whitelist": CONTAINERS, "protocol_whitelist": PROTOCOLS})


def _read_packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Yield the packets as far as the file can be read, and the final empty one."""
    try:
        yield from container.demux(stream)
    except FFmpegError:
        yield av.Packet()


def _make_array(frame: av.VideoFrame) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    turn = TURNS.get(frame.rotation % 360)
    return image if turn is None else cv2.rotate(image, turn)


def _estimate_frames(stream: av.VideoStream, container: av.container.InputContainer) -> int:
    own = float((stream.duration or 0) * (stream.time_base or 0))
    seconds = own or (container.duration or 0) / av.time_base
    return max(0, round(seconds * float(stream.average_rate or 0)))


def find_codec_tag(path: Path) -> str:
    """Return the codec's name in an MP4, AVI or Matroska file, `unknown` if it isn't found."""
    with path.open("rb") as file:
        content = file.read(TAG_WITHIN)
        file.seek(max(len(content), path.stat().st_size - TAG_WITHIN))
        found = CODEC_TAG.search(content + file.read(TAG_WITHIN))
    return next(filter(None, found.groups())).decode() if found else "unknown"
