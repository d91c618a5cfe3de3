# Copyright 2026 depth_perception contributors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Embodied depth: each level on hand-made scenes over a flat road."""

import numpy as np
import pytest
from test_ground_plane import mounted

from depth_perception.frames.frame_set import CameraFrame, FrameSet
from depth_perception.geometry.camera import CameraModel
from depth_perception.geometry.camera_view import camera_view, oblique_sigma
from depth_perception.geometry.embodied_depth import Level, confidence_of, embodied_depth
from depth_perception.geometry.ground_plane import GroundPlane
from depth_perception.geometry.rig import Rig, RigCamera
from depth_perception.geometry.surface import Surface
from depth_perception.parameters import from_flat
from depth_perception.pipeline import SurroundPipeline

WIDTH, HEIGHT = 160, 100
HORIZON = 49.5
CAMERA = CameraModel(WIDTH, HEIGHT, [[120, 0, 79.5], [0, 120, HORIZON], [0, 0, 1]])


def row_depth(v):
    """Depth of row v on the road: height 1.5 m, focal length 120 px."""
    return 1.5 * 120 / (v - HORIZON)


@pytest.fixture
def view():
    source = RigCamera("front", CAMERA, mounted(height=1.5), "front", CAMERA)
    return camera_view(source, GroundPlane(), 0)


def road_and_sky():
    surface = np.full((HEIGHT, WIDTH), Surface.SKY, dtype=np.uint8)
    surface[50:] = Surface.ROAD
    return surface


def test_road_has_the_planes_depth_and_sky_is_infinitely_far(view):
    result = embodied_depth(view, road_and_sky(), level=Level.ROAD)
    v = np.arange(60, 100)
    assert result.depth[60:] == pytest.approx(np.tile(row_depth(v)[:, None], WIDTH), rel=1e-5)
    assert (result.level[60:] == Level.ROAD).all()
    assert np.isposinf(result.depth[:50]).all()
    assert (result.level[:50] == Level.BEYOND).all()


def test_road_beyond_the_range_is_infinite_not_capped(view):
    result = embodied_depth(view, road_and_sky(), max_range=30)
    # Row 55 is at 32.7 m, row 56 at 27.7 m.
    assert np.isposinf(result.depth[55]).all()
    assert np.isfinite(result.depth[56]).all()


def test_each_level_adds_its_own_pixels(view):
    surface = road_and_sky()
    surface[50:, :40] = Surface.GROUND
    surface[30:70, 100:120] = Surface.OBJECT
    surface[80:90, 60:70] = Surface.UNKNOWN
    shares = []
    for level in (Level.ROAD, Level.GROUND, Level.EXTENDED, Level.SCENE):
        result = embodied_depth(view, surface, level=level)
        assert set(np.unique(result.level)) <= {*range(level + 1), Level.BEYOND}
        assert (np.isfinite(result.depth) == np.isfinite(result.sigma)).all()
        assert (np.isnan(result.depth) == (result.level == Level.UNKNOWN)).all()
        shares.append(np.isfinite(result.depth).mean())
    assert shares == sorted(shares)
    assert len(set(shares)) == 4


def test_an_object_stands_at_the_ground_that_it_touches(view):
    surface = road_and_sky()
    surface[30:70, 100:120] = Surface.OBJECT
    result = embodied_depth(view, surface)
    box = result.depth[30:70, 100:120]
    # Its foot is the edge between rows 69 and 70, where inverse depth is their mean.
    foot = 2 / (1 / row_depth(69) + 1 / row_depth(70))
    assert box == pytest.approx(np.full_like(box, foot), rel=1e-5)
    assert (result.level[30:70, 100:120] == Level.EXTENDED).all()


def test_an_object_has_one_depth_from_its_lowest_contacts_although_its_foot_slants(view):
    surface = road_and_sky()
    for u in range(100, 120):
        surface[40 : 70 - (u - 100) // 4, u] = Surface.OBJECT
    depth = embodied_depth(view, surface).depth[45:60, 100:120]
    assert np.ptp(depth) == 0
    assert depth[0, 0] == pytest.approx(2 / (1 / row_depth(69) + 1 / row_depth(70)), rel=1e-5)


def test_touching_objects_are_one_unless_instances_tell_them_apart(view):
    surface = road_and_sky()
    surface[30:70, 100:110] = Surface.OBJECT
    surface[30:60, 110:120] = Surface.OBJECT
    assert np.ptp(embodied_depth(view, surface).depth[30:58, 100:120]) == 0
    instances = np.zeros((HEIGHT, WIDTH), dtype=np.int32)
    instances[:, 100:110], instances[:, 110:120] = 7, 8
    depth = embodied_depth(view, surface, instances=instances).depth
    assert depth[40, 105] == pytest.approx(2 / (1 / row_depth(69) + 1 / row_depth(70)), rel=1e-5)
    assert depth[40, 115] == pytest.approx(2 / (1 / row_depth(59) + 1 / row_depth(60)), rel=1e-5)


def test_regions_of_one_class_that_do_not_touch_are_two_objects(view):
    surface = road_and_sky()
    classes = np.zeros((HEIGHT, WIDTH), dtype=np.int32)
    # A U of class 5 around a bar of class 6: the arms of the U are one object through its bottom.
    surface[30:70, 100:130] = Surface.OBJECT
    classes[30:70, 100:130] = 5
    classes[30:60, 110:120] = 6
    surface[30:60, 140:150], classes[30:60, 140:150] = Surface.OBJECT, 5
    depth = embodied_depth(view, surface, instances=classes, level=Level.EXTENDED).depth
    near = 2 / (1 / row_depth(69) + 1 / row_depth(70))
    far = 2 / (1 / row_depth(59) + 1 / row_depth(60))
    assert depth[35, [105, 125]] == pytest.approx([near, near], rel=1e-5)
    assert np.isnan(depth[35, 115])  # its feet are hidden by the U's bottom
    assert depth[35, 145] == pytest.approx(far, rel=1e-5)


def test_an_object_whose_feet_are_hidden_takes_no_depth_from_what_hides_it(view):
    surface = road_and_sky()
    surface[70:90, 90:130] = Surface.STRUCTURE  # a low wall in front
    surface[30:70, 100:120] = Surface.OBJECT
    result = embodied_depth(view, surface, level=Level.EXTENDED)
    assert np.isnan(result.depth[30:70, 100:120]).all()
    assert (result.level[30:70, 100:120] == Level.UNKNOWN).all()


def test_an_object_cut_by_the_images_edge_is_no_farther_than_the_ground_there(view):
    surface = road_and_sky()
    surface[20:, 100:130] = Surface.OBJECT
    view.ego[97:, 60:80] = True
    surface[20:97, 60:80] = Surface.OBJECT
    result = embodied_depth(view, surface, level=Level.EXTENDED)
    assert result.depth[30, 110] == pytest.approx(row_depth(99), rel=1e-5)
    assert result.depth[30, 70] == pytest.approx(row_depth(96), rel=1e-5)
    assert result.sigma[30, 110] > 0.3
    # One visible contact says more than the edge.
    surface[90:, 100:105] = Surface.ROAD
    depth = embodied_depth(view, surface).depth[30, 110]
    assert depth == pytest.approx(2 / (1 / row_depth(89) + 1 / row_depth(90)), rel=1e-5)


def test_a_walls_visible_foot_holds_beyond_what_hides_its_end(view):
    surface = road_and_sky()
    surface[20:70, :60] = Surface.STRUCTURE
    surface[40:80, :20] = Surface.OBJECT
    result = embodied_depth(view, surface, level=Level.EXTENDED)
    wall = 2 / (1 / row_depth(69) + 1 / row_depth(70))
    assert result.depth[25, 5] == pytest.approx(wall, rel=1e-5)
    surface[surface == Surface.STRUCTURE] = Surface.OTHER
    result = embodied_depth(view, surface, level=Level.EXTENDED)
    assert np.isnan(result.depth[39, 5])


def test_a_wall_follows_the_ground_along_its_foot(view):
    surface = road_and_sky()
    feet = 90 - np.arange(80) // 2
    for u, foot in enumerate(feet):
        surface[10:foot, u] = Surface.STRUCTURE
    result = embodied_depth(view, surface)
    for u in (0, 20, 41, 70):
        expected = 2 / (1 / row_depth(feet[u] - 1) + 1 / row_depth(feet[u]))
        column = result.depth[10 : feet[u], u]
        assert column == pytest.approx(np.full_like(column, expected), rel=1e-5)


def test_a_walls_hidden_foot_lies_between_its_visible_ones(view):
    surface = road_and_sky()
    surface[20:70, :100] = Surface.STRUCTURE
    surface[40:80, 40:60] = Surface.OBJECT  # a car in front of it
    result = embodied_depth(view, surface)
    wall = 2 / (1 / row_depth(69) + 1 / row_depth(70))
    assert result.depth[25, 50] == pytest.approx(wall, rel=1e-5)
    assert result.depth[60, 50] == pytest.approx(
        2 / (1 / row_depth(79) + 1 / row_depth(80)), rel=1e-5
    )


def test_what_is_of_unknown_class_is_taken_to_stand_up_to_a_height(view):
    surface = road_and_sky()
    surface[:70, 30:60] = Surface.OTHER
    depth = embodied_depth(view, surface, max_object_height=2.0).depth[:70, 45]
    z = 2 / (1 / row_depth(69) + 1 / row_depth(70))
    height = 1.5 + z * (HORIZON - np.arange(70)) / 120
    assert (np.isfinite(depth) == (height <= 2.0)).all()
    assert depth[np.isfinite(depth)] == pytest.approx(z, rel=1e-5)


def test_the_own_body_has_no_depth(view):
    view.ego[90:] = True
    result = embodied_depth(view, road_and_sky())
    assert np.isnan(result.depth[90:]).all()
    assert (result.level[90:] == Level.UNKNOWN).all()


def test_holes_are_filled_below_the_horizon_from_around_them_never_behind_the_ground(view):
    surface = road_and_sky()
    surface[60:80, 50:90] = Surface.UNKNOWN
    result = embodied_depth(view, surface)
    filled = result.depth[60:80, 50:90]
    assert (result.level[60:80, 50:90] == Level.SCENE).all()
    assert np.isfinite(result.depth[50:]).all() or (result.level[50:52] == Level.BEYOND).any()
    assert (filled <= view.plane[60:80, 50:90] * (1 + 1e-6)).all()
    assert filled.min() > 0.5 * row_depth(80)
    assert np.isnan(embodied_depth(view, surface, level=Level.EXTENDED).depth[60:80, 50:90]).all()


def test_without_any_road_in_view_the_scene_is_filled_from_the_lowest_ground(view):
    surface = np.full((HEIGHT, WIDTH), Surface.OTHER, dtype=np.uint8)
    view.ego[95:, 40:80] = True
    result = embodied_depth(view, surface)
    filled = np.isfinite(view.plane) & ~view.ego
    assert (result.level[filled] == Level.SCENE).all()
    assert result.depth[99, 10] == pytest.approx(row_depth(99), rel=0.05)
    assert result.depth[94, 60] == pytest.approx(row_depth(94), rel=0.1)
    assert np.isnan(result.depth[:49]).all()


def test_filled_depth_is_smooth(view):
    # OpenCV's inpainting rounds floats to integers; the log depths must not show such steps.
    surface = road_and_sky()
    surface[60:96, 20:140] = Surface.UNKNOWN
    depth = embodied_depth(view, surface).depth[60:96, 20:140]
    assert np.abs(np.diff(np.log(depth), axis=1)).max() < 0.1


def test_confidence_is_the_gaussian_probability_of_ten_percent():
    # P(|x| < 1 sigma) = 0.6827, P(|x| < 2 sigma) = 0.9545.
    assert confidence_of(np.array([0.1, 0.05])) == pytest.approx([0.6827, 0.9545], abs=1e-4)
    assert confidence_of(np.array([np.nan, np.inf])) == pytest.approx([0, 0])
    assert confidence_of(np.array([1e-9])) == pytest.approx([1])


def test_uncertainty_grows_with_distance_and_from_level_to_level(view):
    surface = road_and_sky()
    surface[30:70, 100:120] = Surface.OBJECT
    surface[75:95, 20:40] = Surface.UNKNOWN
    sigma = embodied_depth(view, surface).sigma
    assert sigma[60, 10] > sigma[80, 10]
    assert sigma[40, 110] > sigma[69, 10]
    assert sigma[85, 30] > sigma[40, 110]


def test_feet_behind_a_thin_thing_are_hidden_feet(view):
    surface = road_and_sky()
    surface[70, 90:130] = Surface.STRUCTURE  # a rail one pixel high, ground above and below it
    surface[30:70, 100:120] = Surface.OBJECT
    result = embodied_depth(view, surface, level=Level.EXTENDED)
    assert np.isnan(result.depth[30:70, 100:120]).all()
    surface[70, 90:130] = Surface.ROAD
    result = embodied_depth(view, surface, level=Level.EXTENDED)
    assert np.isfinite(result.depth[30:70, 100:120]).all()


def test_what_lies_outside_of_the_arriving_image_is_on_every_side_unknown():
    """Rectified to a wider view than the lens gives, as `alpha = 1` does."""
    raw = CameraModel(161, 101, [[120, 0, 80], [0, 120, 50], [0, 0, 1]], [-0.35, 0.1, 0, 0, 0])
    wide = CameraModel(161, 101, [[60, 0, 80], [0, 60, 50], [0, 0, 1]])
    source = RigCamera("front", raw, mounted(height=1.5), "front", wide)
    level = camera_view(source, GroundPlane(), 0)
    assert 0.2 < level.ego.mean() < 0.9
    for flipped in (level.ego[:, ::-1], level.ego[::-1]):
        assert (level.ego == flipped).mean() > 0.999
    everywhere_road = np.ones((50, 80), np.uint8)
    assert (level.labels(everywhere_road)[level.ego] == 0).all()
    assert (level.labels(everywhere_road)[~level.ego] == 1).all()


def test_depth_far_from_the_axis_is_as_sure_as_where_the_pixel_looks():
    """Depth is d cos(a): a quarter of a degree is 0.4 % of it at 45 degrees, and 35 % at 89.3."""
    tangents = np.array([[0.0, 1.0, 3.7, 3.8, 80.0]])
    rays = np.stack([tangents * 0.6, tangents * 0.8, np.ones_like(tangents)], axis=-1)
    sigma = oblique_sigma(rays)
    assert (sigma[0, :3] == 0).all()
    assert sigma[0, 3:] == pytest.approx(np.radians(0.25) * tangents[0, 3:], rel=1e-6)
    assert oblique_sigma(rays[:, :3]) is None


def test_two_centimetres_of_depth_from_an_impossible_principal_point_are_not_trusted():
    """It puts every pixel at 89.3 degrees from the axis: 1.9 cm along it, ground 1.5 m below."""
    parameters = from_flat({"estimator": "embodied", "segmentation.source": "geometric"})
    confidence = {}
    for name, row in (("right", HORIZON), ("impossible", -80.0 * 120)):
        model = CameraModel(WIDTH, HEIGHT, [[120, 0, 79.5], [0, 120, row], [0, 0, 1]])
        rig = Rig({name: RigCamera(name, model, mounted(height=1.5), name, model)}, "base_link")
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        pipeline = SurroundPipeline(parameters, log=lambda text: None)
        result = pipeline.process(FrameSet(1, {name: CameraFrame(1, image)}), rig)
        pipeline.close()
        camera = result.cameras[name]
        confidence[name] = camera.confidence[camera.level == Level.ROAD]
        if name == "impossible":
            assert np.nanmin(camera.depth) == pytest.approx(1.5 / 80.8, rel=1e-2)
    assert confidence["right"].max() > 0.97
    assert confidence["impossible"].size and confidence["impossible"].max() < 0.3
