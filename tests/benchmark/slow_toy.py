import time

from crossfake.benchmark.core.registry import detectors


@detectors.register("slow-brightness", title="Brighter is more fake, after a while")
class SlowBrightness:
    def score(self, frames):
        time.sleep(0.3)
        return frames.mean(axis=(1, 2, 3)) / 255
