"""The shapes of a run, as the lines of its log open, fill and close them."""

from .shape import Place, Shape


class Shapes(list[Shape]):
    """All shapes in order. Repetitions belong to the one that was opened last; RES and ERR close it."""

    def __init__(self, keeps: bool = True) -> None:
        """Begin without any. Unless it `keeps` repetitions, those of a shape are summarised when it is over."""
        super().__init__()
        self.open: Shape | None = None  # the last shape of the run, until it is closed
        self._keeps = keeps
        self._by_place: dict[Place, Shape] = {}

    def opened(self, line: int) -> Shape:
        """Return the shape that is being measured; one without sizes where no line announced any."""
        return self.open or self._begin(line)

    def announce(self, place: Place, line: int) -> Shape:
        """Open a shape. One of the same place that was announced just before (banner, then CASE) is the same."""
        shape = self.opened(line)
        if not shape.empty or not shape.matches(place):
            shape = self._begin(line)
        return self._put(shape, place)

    def end(self, place: Place, kind: str, line: int) -> Shape:
        """Close and return the open shape where it has this place, else a new one: figures never change shapes."""
        shape = self.opened(line)
        if not shape.matches(place):
            reason = f"mixed: {kind} of {place[0]} / {place[1]} stands behind CASE of "
            reason += f"{shape.input_size} / {shape.batch_size}"
            if shape.repetitions:
                shape.raise_doubt(reason)
            shape = self._begin(line)
            shape.raise_doubt(reason)
        self.open = None
        return self._put(shape, place)

    def at(self, place: Place) -> Shape | None:
        """Return the last shape that a line before or after its result speaks of, or None where there is none."""
        return self[-1] if self and self[-1].matches(place) else self.exactly(place)

    def exactly(self, place: Place) -> Shape | None:
        """Return the last shape of this very place, or None where there is none."""
        return self._by_place.get(place)

    def close(self, speaks: bool) -> None:
        """Drop the shapes of which nothing was read, but for a last one: the run was killed in its warm-up.

        In a log that speaks no FMWORK that one is another program's banner.
        """
        last = self[-1:] if self and self[-1].empty else []
        self[:] = [shape for shape in self if not shape.empty]
        if speaks or self:
            self += last

    def _begin(self, line: int) -> Shape:
        if self and not self._keeps:
            self[-1].settle()
        self.open = Shape(line=line)
        self.append(self.open)
        return self.open

    def _put(self, shape: Shape, place: Place) -> Shape:
        shape.take_place(place)
        self._by_place[shape.place] = shape
        return shape
