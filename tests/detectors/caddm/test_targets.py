from __future__ import annotations

import numpy as np
import pytest
from crossfake.detectors.caddm.targets import WHOLE, assign, iou, priors, to_corners

BOX_SETS = ["global", "part40x80", "part80x120", "part120x160", "part224", "part40x80_corner"]


def test_anchors_match_the_released_code(golden):
    np.testing.assert_allclose(priors(), golden("detection.npz")["priors"], atol=1e-7)


@pytest.mark.parametrize("name", BOX_SETS)
def test_matching_matches_the_released_code(golden, name):
    vectors = golden("detection.npz")
    boxes = vectors[f"match_{name}_boxes"] / np.float32(224)
    loc, conf = assign(boxes)
    np.testing.assert_allclose(iou(boxes, to_corners(priors())), vectors[f"match_{name}_iou"], atol=1e-6)
    np.testing.assert_allclose(loc, vectors[f"match_{name}_loc"], atol=1e-6)
    np.testing.assert_array_equal(conf, vectors[f"match_{name}_conf"])


def test_real_face_has_no_target():
    loc, conf = assign(np.zeros((0, 4)))
    assert not loc.any()
    assert not conf.any()
    assert loc.shape == (168, 4)
    assert loc.dtype == np.float32


def test_whole_face_is_the_two_largest_anchors():
    loc, conf = assign(np.array([WHOLE]))
    assert conf.nonzero()[0].tolist() == [166, 167]
    assert not loc[166:].any()


def test_each_box_gets_its_best_anchor_however_small_the_overlap():
    tiny = np.array([WHOLE, (0.5, 0.5, 0.52, 0.52)])
    _, conf = assign(tiny)
    assert conf.sum() == 3
