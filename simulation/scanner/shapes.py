"""Bodies as implicit functions: negative inside, about the distance to the surface in mm.

Coordinates are the patient's (x to the left, y to the back, z to the head), mm.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Point = tuple[float, float, float]
Field = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class Shape:
    """A body: its field, and a box that holds it. field(x, y, z) takes arrays that broadcast."""

    low: Point
    high: Point
    field: Field


def ellipsoid(centre: Point, semi: Point) -> Shape:
    """An ellipsoid with semi-axes along x, y, z."""

    def field(x: Array, y: Array, z: Array) -> Array:
        terms = ((a - c) / s for a, c, s in zip((x, y, z), centre, semi, strict=True))
        square = sum((term * term for term in terms), np.float32(0))
        return np.asarray((np.sqrt(square) - 1) * min(semi), np.float32)

    low, high = (tuple(c + sign * s for c, s in zip(centre, semi, strict=True)) for sign in (-1, 1))
    return Shape((low[0], low[1], low[2]), (high[0], high[1], high[2]), field)


def capsule(start: Point, end: Point, radius: float, radius_end: float | None = None) -> Shape:
    """A rod with round ends; its radius runs from `radius` to `radius_end`."""
    first, last = radius, radius if radius_end is None else radius_end
    axis = [b - a for a, b in zip(start, end, strict=True)]
    length = sum(part * part for part in axis)

    def field(x: Array, y: Array, z: Array) -> Array:
        away = (x - start[0], y - start[1], z - start[2])
        along = sum((part * a for part, a in zip(away, axis, strict=True)), np.float32(0)) / length
        along = np.clip(along, 0, 1)
        square = sum(((part - along * a) ** 2 for part, a in zip(away, axis, strict=True)), np.float32(0))
        return np.asarray(np.sqrt(square) - (first + (last - first) * along), np.float32)

    widest = max(first, last)
    low = [min(a, b) - widest for a, b in zip(start, end, strict=True)]
    high = [max(a, b) + widest for a, b in zip(start, end, strict=True)]
    return Shape((low[0], low[1], low[2]), (high[0], high[1], high[2]), field)


def column(
    centre: Callable[[Array], tuple[Array, Array]],
    semi: Callable[[Array], tuple[Array, Array]],
    box: tuple[Point, Point],
    power: float = 2.0,
) -> Shape:
    """A column along z whose cross-section at each z is a superellipse with given centre and semi-axes."""

    def field(x: Array, y: Array, z: Array) -> Array:
        (cx, cy), (a, b) = centre(z), semi(z)
        radius = (np.abs((x - cx) / a) ** power + np.abs((y - cy) / b) ** power) ** (1 / power)
        return np.asarray((radius - 1) * np.minimum(a, b), np.float32)

    return Shape(box[0], box[1], field)


def union(*shapes: Shape) -> Shape:
    """What lies in any of the shapes."""

    def field(x: Array, y: Array, z: Array) -> Array:
        return np.asarray(np.minimum.reduce([shape.field(x, y, z) for shape in shapes]), np.float32)

    low = [min(shape.low[axis] for shape in shapes) for axis in range(3)]
    high = [max(shape.high[axis] for shape in shapes) for axis in range(3)]
    return Shape((low[0], low[1], low[2]), (high[0], high[1], high[2]), field)


def grown(shape: Shape, margin: float) -> Shape:
    """A shape with a margin in mm (negative: shrunk)."""
    low = [value - max(margin, 0) for value in shape.low]
    high = [value + max(margin, 0) for value in shape.high]
    return Shape(
        (low[0], low[1], low[2]),
        (high[0], high[1], high[2]),
        lambda x, y, z: np.asarray(shape.field(x, y, z) - np.float32(margin), np.float32),
    )


def without(shape: Shape, *holes: Shape) -> Shape:
    """A shape less what lies in the holes."""

    def field(x: Array, y: Array, z: Array) -> Array:
        cuts = [-hole.field(x, y, z) for hole in holes]
        return np.asarray(np.maximum.reduce([shape.field(x, y, z), *cuts]), np.float32)

    return Shape(shape.low, shape.high, field)


def scaled(shape: Shape, factor: float) -> Shape:
    """A shape as many times larger, about the origin."""
    low, high = ([factor * value for value in corner] for corner in (shape.low, shape.high))

    def field(x: Array, y: Array, z: Array) -> Array:
        return np.asarray(factor * shape.field(x / factor, y / factor, z / factor), np.float32)

    return Shape((low[0], low[1], low[2]), (high[0], high[1], high[2]), field)


def moved(shape: Shape, by: Point) -> Shape:
    """A shape elsewhere."""
    low, high = ([a + b for a, b in zip(corner, by, strict=True)] for corner in (shape.low, shape.high))

    def field(x: Array, y: Array, z: Array) -> Array:
        return shape.field(x - np.float32(by[0]), y - np.float32(by[1]), z - np.float32(by[2]))

    return Shape((low[0], low[1], low[2]), (high[0], high[1], high[2]), field)
