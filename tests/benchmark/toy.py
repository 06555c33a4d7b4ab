from crossfake.benchmark.core.registry import detectors


@detectors.register("brightness", title="Brighter is more fake")
class Brightness:
    def score(self, frames):
        return frames.mean(axis=(1, 2, 3)) / 255
