"""A network that runs as it did and remembers the shape of what it was shown."""

from collections.abc import Mapping, Sequence

from services.redactor.inference import Network, Tensor


class Listening:
    """Stands in the place of `network`. `shapes`: of each batch since they were last told, in turn."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.shapes: list[tuple[int, ...]] = []

    def told(self) -> list[tuple[int, ...]]:
        """The shapes so far, which are then forgotten."""
        shapes, self.shapes = self.shapes, []
        return shapes

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._network.metadata

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        self.shapes.append(batch.shape)
        return self._network.run(batch)
