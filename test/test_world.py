"""The synthetic street: exact depth, sensors that agree with each other, and a bag of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from depth_perception.world.raycast import Rendering, cast_rays, render
from depth_perception.world.rig import (
    LIDAR_NOISE,
    WorldCamera,
    ego_pose,
    lidar_mounting,
    scan_lidar,
    surround_cameras,
)
from depth_perception.world.scene import OWN_BODY, ROAD, SKY, Scene
from depth_perception.world.street import build_street
from depth_perception.world.street_bag import START, write_street_bag

TIME = 0.5
CAMERAS = {camera.name: camera for camera in surround_cameras(320)}


@pytest.fixture(scope="module")
def street() -> Scene:
    return build_street(0)


@pytest.fixture(scope="module")
def views(street: Scene) -> dict[str, Rendering]:
    return {name: _view(street, camera) for name, camera in CAMERAS.items()}


def _view(street: Scene, camera: WorldCamera) -> Rendering:
    model = camera.model
    T = ego_pose(TIME)
    return render(street, TIME, T, camera.T_base_camera, model.K, model.width, model.height)


def test_road_depth_is_the_plane_in_closed_form(views: dict[str, Rendering]) -> None:
    """A point on z = 0 at depth Z along ray r lies h below the camera: Z = h / (-r_z)."""
    checked = 0
    for name, camera in CAMERAS.items():
        v, u = np.nonzero(views[name].labels == ROAD)
        rays = np.linalg.inv(camera.model.K) @ np.stack([u, v, np.ones_like(u)])
        r_z = (camera.T_base_camera[:3, :3] @ rays)[2]
        height = camera.T_base_camera[2, 3]
        np.testing.assert_allclose(views[name].depth[v, u], height / -r_z, rtol=1e-4)
        checked += len(u)
    assert checked > 30_000


def test_every_class_of_a_street_is_seen(views: dict[str, Rendering]) -> None:
    seen = set(np.unique(np.concatenate([view.labels.ravel() for view in views.values()])))
    names = {"road": 0, "sidewalk": 1, "building": 2, "pole": 5, "vegetation": 8, "terrain": 9}
    names |= {"sky": 10, "person": 11, "car": 13, "own body": 255}
    missing = [name for name, label in names.items() if label not in seen]
    assert not missing


def test_sky_is_where_depth_is_infinite(views: dict[str, Rendering]) -> None:
    for view in views.values():
        np.testing.assert_array_equal(view.labels == SKY, np.isinf(view.depth))
        assert view.depth.min() > 0.0


def test_own_body_is_a_sliver_at_the_lower_edge_of_front_and_rear(
    views: dict[str, Rendering],
) -> None:
    for name, view in views.items():
        own = view.labels == OWN_BODY
        if name in ("CAM_FRONT", "CAM_BACK"):
            height = own.shape[0]
            assert own[-1].any() and not own[: int(0.9 * height)].any()
            assert view.image[own].mean() < 0.6 * view.image[view.labels == ROAD].mean()
        else:
            assert not own.any()


def test_own_body_stays_where_it_is_while_the_vehicle_moves(
    street: Scene, views: dict[str, Rendering]
) -> None:
    camera = CAMERAS["CAM_BACK"]
    model = camera.model
    T = ego_pose(1.7)
    later = render(street, 1.7, T, camera.T_base_camera, model.K, model.width, model.height)
    own = views["CAM_BACK"].labels == OWN_BODY
    np.testing.assert_array_equal(later.labels == OWN_BODY, own)
    np.testing.assert_allclose(later.depth[own], views["CAM_BACK"].depth[own], rtol=1e-6)


@pytest.mark.parametrize("name", ["CAM_FRONT", "CAM_BACK_LEFT"])
def test_lidar_agrees_with_rendered_depth(
    street: Scene, views: dict[str, Rendering], name: str
) -> None:
    """Where depth varies little around a pixel, range noise is all that is left between the two."""
    camera, depth = CAMERAS[name], views[name].depth
    points = scan_lidar(street, TIME)[:, :3].astype(float)
    T = np.linalg.inv(camera.T_base_camera) @ lidar_mounting()
    points = points @ T[:3, :3].T + T[:3, 3]
    points = points[points[:, 2] > 1.0]
    u, v = (points @ camera.model.K.T / points[:, 2:])[:, :2].T
    inside = (u > 1) & (v > 1) & (u < camera.model.width - 2) & (v < camera.model.height - 2)
    u, v, z = u[inside], v[inside], points[inside, 2]
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    around = np.stack([depth[i, j], depth[i, j + 1], depth[i + 1, j], depth[i + 1, j + 1]])
    smooth = np.isfinite(around).all(0)
    smooth[smooth] = np.ptp(around[:, smooth], axis=0) < 0.02 * around[:, smooth].min(0)
    around, u, v, z = around[:, smooth], (u - j)[smooth], (v - i)[smooth], z[smooth]
    # Inverse depth of a plane is linear in the image.
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    error = z - 1.0 / (weights / around).sum(0)
    # What stands nearer to one sensor than to the other hides points from it: a few outliers.
    assert len(error) > 1000
    assert abs(np.median(error)) < 0.2 * LIDAR_NOISE
    assert 0.6 * LIDAR_NOISE < np.median(np.abs(error)) / 0.6745 < 1.3 * LIDAR_NOISE


def test_a_ray_straight_down_measures_the_height_and_one_to_the_sun_sees_sky(street: Scene) -> None:
    origin = np.array([10.0, 0.0, 7.0])
    rays = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    distance, labels, _ = cast_rays(street, -50.0, ego_pose(-50.0), origin, rays)
    np.testing.assert_allclose(distance, [7.0, np.inf])
    np.testing.assert_array_equal(labels, [ROAD, SKY])


def test_lidar_loses_and_bounds_what_it_should(street: Scene) -> None:
    points = scan_lidar(street, TIME)
    ranges = np.linalg.norm(points[:, :3], axis=1)
    assert points.dtype == np.float32
    assert 0.7 * 32 * 1084 < len(points) < 0.985 * 32 * 1084
    assert ranges.max() < 100.2
    assert points[:, 3].min() >= 0.0
    assert points[:, 3].max() <= 255.0


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "street"
    write_street_bag(path, frames=2, seed=3, width=160, truth=True)
    return path


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with AnyReader([path]) as reader:
        for connection, stamp, data in reader.messages():
            digest.update(f"{connection.topic} {stamp}".encode())
            digest.update(data)
    return digest.hexdigest()


def test_bag_has_the_topics_and_ascending_stamps(bag: Path) -> None:
    expected = {"/LIDAR_TOP/points", "/odom", "/tf", "/tf_static"}
    for name in CAMERAS:
        kinds = ("image_raw/compressed", "camera_info", "labels", "truth/depth")
        expected |= {f"/{name}/{kind}" for kind in kinds}
    with AnyReader([bag]) as reader:
        assert {c.topic for c in reader.connections} == expected
        assert reader.topics["/CAM_FRONT/image_raw/compressed"].msgcount == 2
        last = 0
        images = []
        for connection, bag_time, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            assert bag_time >= last
            last = bag_time
            if connection.topic == "/tf_static":
                assert len(message.transforms) == 7
                qos = connection.ext.offered_qos_profiles[0]  # type: ignore[union-attr]
                assert qos.durability.name == "TRANSIENT_LOCAL"
            elif connection.topic != "/tf":
                stamp = message.header.stamp
                assert stamp.sec * 10**9 + stamp.nanosec == bag_time
                if connection.topic.endswith("compressed"):
                    images.append(bag_time)
        assert images[0] == START
        assert images[5] - images[0] == 40_000_000
        assert images[6] - images[0] == 200_000_000


def test_the_same_seed_gives_the_same_messages(bag: Path, tmp_path: Path) -> None:
    write_street_bag(tmp_path / "same", frames=2, seed=3, width=160, truth=True)
    write_street_bag(tmp_path / "other", frames=2, seed=4, width=160, truth=True)
    assert _digest(tmp_path / "same") == _digest(bag) != _digest(tmp_path / "other")


def test_bag_is_small(bag: Path) -> None:
    """Ten sets of 800 pixels must stay under 25 MB; area decides, and JPEG grows a bit less."""
    size = sum(file.stat().st_size for file in bag.iterdir())
    with AnyReader([bag]) as reader:
        jpegs = sum(
            len(data) for c, _, data in reader.messages() if c.topic.endswith("/compressed")
        )
    assert size < 2_500_000
    assert jpegs / 12 * 60 * 25 < 25_000_000


def test_bad_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frames=0"):
        write_street_bag(tmp_path / "none", frames=0)
    assert not (tmp_path / "none").exists()
