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

"""Make the pictures of docs/viewing.md: the viewer's window, without a screen.

    depth_perception world -o DRIVE --seed 7 --rig nuscenes --setting city --seconds 3 --rate 10
    python scripts/viewing_pictures.py DRIVE

rerun's viewer draws with Vulkan. Where there is no GPU, Mesa's lavapipe will do, or the SwiftShader
that comes with Chromium: VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json, and the folder
of its libvulkan.so.1 on LD_LIBRARY_PATH. The viewer is rerun's own, and so are the pictures.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

PORT = 9977
DRAWN_S = 12.0
"""A software rasterizer has drawn everything after this time."""
ATTEMPTS = 6
LATEST_CAMERA_NS = 50_000_000
"""The cameras of a set fire within this time after its stamp."""
TOP_BAR = 38
"""Rows of the window that tell of the machine alone."""
QUALITY = 78


def depth_perception(*words: str) -> list[str]:
    """Make the command line of a verb."""
    code = "import sys; from depth_perception.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", code, *words]


def last_result(recording: Path) -> np.datetime64:
    """Return the stamp of the last frame set with results: later on, images alone are there."""
    from rerun.chunk import RrdReader

    stamps = [
        stamp.value
        for chunk in RrdReader(str(recording)).stream()
        if chunk.entity_path == "/plots/latency/total" and not chunk.is_static
        for stamp in chunk.to_record_batch()["stamp"]
    ]
    return np.datetime64(max(stamps) + LATEST_CAMERA_NS, "ns")


def photograph(recording: Path, picture: Path, number: int | None) -> None:
    """Draw a recording at a frame set, or at its last one, and save the window as JPEG."""
    from rerun.experimental import ViewerClient

    with ViewerClient.spawn(headless=True, port=PORT, hide_welcome_screen=True) as viewer:
        viewer.open(str(recording))
        if number is not None:
            viewer.set_time("set", sequence=number, play_state="paused")
        else:
            viewer.set_time("stamp", timestamp=last_result(recording), play_state="paused")
        raw = recording.with_suffix(".png")
        for attempt in range(ATTEMPTS):
            time.sleep(DRAWN_S)
            try:
                viewer.save_screenshot(str(raw))
                break
            except TimeoutError:  # the viewer waits for 15 s; a busy machine draws for longer
                if attempt == ATTEMPTS - 1:
                    raise
    window = cv2.imread(str(raw))[TOP_BAR:]
    cv2.imwrite(str(picture), window, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    print(picture, f"{picture.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("drive", type=Path, help="a synthetic drive with six cameras")
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--number", type=int, default=20, help="the frame set that is shown (20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "drive.rrd"
        subprocess.run(
            depth_perception("view", str(options.drive), "--save", str(saved)), check=True
        )
        print(f"{saved.stat().st_size / 1e6:.1f} MB")
        photograph(saved, options.images / "view_drive.jpg", options.number)
        live = Path(folder) / "live.rrd"
        # Slowly, and once, as the machine draws and computes at the same time.
        nodes = subprocess.Popen(
            depth_perception("launch", f"bag:={options.drive}", "rate:=0.15"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            arguments = ["--live", "--seconds", "45", "--save", str(live)]
            subprocess.run(depth_perception("view", *arguments), check=True)
        finally:
            nodes.send_signal(signal.SIGINT)
            nodes.wait(30)
        photograph(live, options.images / "view_live.jpg", None)


if __name__ == "__main__":
    main()
