"""Shapes that a graph does not take are known before it runs, from any thread, in bounded memory."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.runtime import shape_probe
from sentinova_server.runtime.shape_probe import MOST_ELEMENTS, ShapeProbe

MODELS = Path(__file__).resolve().parents[4] / "tests" / "models"


def read(name):
    return ov.Core().read_model(MODELS / name / "1" / "model.pdmodel")


IMAGE = read("image_cnn")
PROBE = ShapeProbe(IMAGE)


def takes(probe, shapes):
    try:
        probe.check(shapes)
    except ServingError as error:
        if error.reason is not Reason.INVALID_FIELD or error.field != "inputs":
            raise
        return False
    return True


class Counting:
    """A graph that counts how often it is asked."""

    def __init__(self, model):
        self._model = model
        self.asked = 0

    def reshape(self, shapes):
        self.asked += 1
        self._model.reshape(shapes)

    def get_ops(self):
        return self._model.get_ops()


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.integers(1, 64), st.integers(1, 64), st.integers(0, 9))
def test_a_channel_count_is_good_or_bad_whatever_was_asked_before(channels, height, width, rows):
    for channel in channels:
        assert takes(PROBE, {"image": (rows, channel, height, width)}) == (channel == 3)


@pytest.mark.parametrize(
    ("name", "shapes", "told"),
    [
        ("image_cnn", {"image": (1, 4, 8, 8)}, r"image \[1, 4, 8, 8\]: "),
        ("image_cnn", {"image": (1, 3, 0, 8)}, r"image \[1, 3, 0, 8\]: "),
        ("page_detector", {"image": (1, 3, 0, 8)}, r"image \[1, 3, 0, 8\]: "),
        ("two_inputs", {"user_features": (2, 8), "item_ids": (3, 4)}, r"item_ids \[3, 4\], user_features \[2, 8\]: "),
        ("event_sequence", {"values": (2, 5, 6), "kinds": (3, 5), "present": (3, 5)}, r"kinds \[3, 5\]"),
        ("event_sequence", {"values": (2, 5, 6), "kinds": (2, 4), "present": (2, 5)}, r"kinds \[2, 4\]"),
        ("similarity_matrix", {"queries": (2, 16), "documents": (2, 15)}, r"documents \[2, 15\]"),
    ],
)
def test_what_is_refused_is_told_with_the_shapes_and_openvinos_reason(name, shapes, told):
    probe = ShapeProbe(read(name))
    for _ in range(2):  # a refusal is no secret to be remembered
        with pytest.raises(ServingError, match=told) as caught:
            probe.check(shapes)
        assert "Exception from" not in caught.value.message
        assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "shape", [(1, 3, 1 << 14, 1 << 14), (1 << 24, 3, 8, 8), (1, 3, 1 << 31, 1 << 31), (1 << 62, 3, 1, 1)]
)
def test_what_would_take_gigabytes_is_refused(shape):
    with pytest.raises(ServingError, match="make the model compute a tensor of") as caught:
        PROBE.check({"image": shape})
    assert f"takes {MOST_ELEMENTS:,}" in caught.value.message
    assert takes(PROBE, {"image": (1, 3, 8, 8)})


def test_what_grows_inside_the_graph_counts_not_only_the_inputs():
    probe = ShapeProbe(read("similarity_matrix"))
    # A megabyte of input each; every row of one against every row of the other is 2^32 numbers.
    assert not takes(probe, {"queries": (1 << 16, 16), "documents": (1 << 16, 16)})
    assert takes(probe, {"queries": (1 << 13, 16), "documents": (1 << 13, 16)})


def test_good_shapes_are_remembered_up_to_a_number_the_latest_used(monkeypatch):
    monkeypatch.setattr(shape_probe, "_REMEMBERED", 8)
    probe = ShapeProbe(IMAGE)
    graph = probe._model = Counting(probe._model)

    def asks(side):
        before = graph.asked
        assert takes(probe, {"image": (1, 3, side, side)})
        return graph.asked > before

    for side in range(1, 9):
        assert asks(side)
    assert not any(map(asks, range(1, 9)))
    assert asks(9)  # 1 gives way to it
    assert not asks(2)
    assert asks(1)  # and 3, the one longest not asked about, to 1
    assert asks(3)
    for side in range(100, 200):
        asks(side)
        assert len(probe._good) <= 8


def test_bad_shapes_are_not_remembered_as_good():
    probe = ShapeProbe(IMAGE)
    for side in range(1, 50):
        assert not takes(probe, {"image": (1, 2, side, side)})
    assert not probe._good


def test_threads_get_their_own_answers():
    probe = ShapeProbe(IMAGE)

    def ask(seed):
        draw = random.Random(seed)
        for _ in range(100):
            channels, side = draw.choice([2, 3, 4]), draw.randint(1, 40)
            if takes(probe, {"image": (draw.randint(1, 8), channels, side, side)}) != (channels == 3):
                return channels, side
        return None

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(ask, range(8))] == [None] * 8


def test_the_graph_that_was_read_stays_dynamic():
    assert takes(PROBE, {"image": (2, 3, 5, 5)})
    assert IMAGE.inputs[0].get_partial_shape() == ov.PartialShape([-1, 3, -1, -1])
