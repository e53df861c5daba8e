"""Where the time of a picture goes."""

import time


class Watch:
    """Wall seconds by stage. A worker calculates on one thread: on a quiet machine these are CPU-seconds as well."""

    def __init__(self) -> None:
        self._began = self._lap = time.perf_counter()
        self.stages: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Book the time since the last lap on `stage`."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self._lap
        self._lap = now

    def elapsed(self) -> float:
        """Seconds since the watch was made."""
        return time.perf_counter() - self._began
