"""How a pixel worker and the inference process talk: packets on a local socket, tensors in memory that both see.

A request is one packet, JSON, with one file descriptor: anonymous memory that holds the tensor and then the answer.
It has no name and needs no /dev/shm, and it is gone with the last process that holds it, however that one ended.
"""

import fcntl
import json
import math
import mmap
import os
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.redactor.inference import Tensor

Shape = tuple[int, ...]

PACKET_BYTES = 64 * 1024
MOST_TENSOR_BYTES = 512 * 2**20
"""Of a request or an answer: no worker may make the process that all share claim more."""

_FLOAT_BYTES = 4


class BadRequest(ValueError):
    """A packet that no worker of ours sends."""


def new_area() -> int:
    """Anonymous memory whose size can be fixed: a worker that shrank it would kill whoever reads it (SIGBUS)."""
    return os.memfd_create("tensor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def put(area: int, tensors: Sequence[Tensor]) -> None:
    """Write `tensors` one behind the other, growing the memory where it is too small."""
    size = sum(tensor.nbytes for tensor in tensors)
    if os.fstat(area).st_size < size:
        os.ftruncate(area, size)
    if not size:
        return
    with mmap.mmap(area, size) as memory:
        at = 0
        for tensor in tensors:
            memory[at : at + tensor.nbytes] = np.ascontiguousarray(tensor, np.float32).reshape(-1).view(np.uint8).data
            at += tensor.nbytes


def take(area: int, shapes: Sequence[Shape]) -> list[Tensor]:
    """Copies of the tensors that `put` wrote. Raises BadRequest where the memory does not hold them."""
    counts = [math.prod(shape) for shape in shapes]
    size = sum(counts) * _FLOAT_BYTES
    if any(side < 1 for shape in shapes for side in shape) or size > MOST_TENSOR_BYTES:
        raise BadRequest("a tensor of a size that is not allowed")
    if os.fstat(area).st_size < size:
        raise BadRequest("a tensor larger than the memory that came with it")
    with mmap.mmap(area, size, access=mmap.ACCESS_READ) as memory:
        numbers = np.frombuffer(bytes(memory), np.float32)
    ends = np.cumsum(counts)
    return [numbers[end - count : end].reshape(shape) for end, count, shape in zip(ends, counts, shapes, strict=True)]


def fix_size(area: int) -> None:
    """From now on nobody can shrink it. Raises BadRequest for memory that allows no such promise."""
    try:
        fcntl.fcntl(area, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except OSError as error:
        raise BadRequest("memory that could be shrunk while it is read") from error


def send(connection: socket.socket, message: dict[str, Any], area: int | None = None) -> None:
    """One packet, with a descriptor or without."""
    socket.send_fds(connection, [json.dumps(message).encode()], [] if area is None else [area])


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next packet and its descriptors, which are the caller's to close. Raises EOFError at the end, BadRequest
    for what is no packet of ours."""
    data, areas, _, _ = socket.recv_fds(connection, PACKET_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise EOFError
    try:
        message = json.loads(data)
        if not isinstance(message, dict):
            raise BadRequest("a packet that is no object")
    except ValueError as error:
        for area in areas:
            os.close(area)
        raise BadRequest("a packet that cannot be read") from error
    return message, list(areas)
