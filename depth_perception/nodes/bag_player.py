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

"""Node ``bag_player``: plays a rosbag2 bag where there is no ``ros2 bag play``, and for tests.

Bytes go out as they were recorded. See docs/nodes.md.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from tqdm import tqdm

from depth_perception.datasets.bag_playback import Playback, remapping
from depth_perception.errors import ConfigurationError, DepthPerceptionError
from depth_perception.ros import process
from depth_perception.ros.debug_log import LOGGER_SERVICE
from depth_perception.ros.idle import wait_until_idle
from depth_perception.ros.play_options import options_of, parse
from depth_perception.ros.playing import BagPublishers, PlayClock
from depth_perception.ros.sim_time import contested_clock

AFTER_BAG_S = 0.5
"""/clock runs on this long after the last message, so that deadlines of incomplete sets pass."""
FLUSH_S = 5.0
RESULTS_S = 60.0
REPORT_PERIOD_S = 5.0
CONTEST_PERIOD_S = 1.0


class BagPlayer:
    """The application: a node, and a thread that plays.

    Attributes:
        node: The ROS node.
        finished: Set when the bag is over.
        exit_code: 0, or 1 when the bag broke off.
    """

    def __init__(self, given: Namespace, **node_options: Any) -> None:
        """Open the bag, advertise its topics and start playing.

        Args:
            given: The command line, see `parse`.
            node_options: Of `rclpy.node.Node`, e.g. ``namespace``.

        Raises:
            DepthPerceptionError: An option is impossible, or the bag cannot be played.
        """
        self.node = Node("bag_player", **LOGGER_SERVICE, **node_options)
        self.finished = threading.Event()
        self.exit_code = 0
        self._log = self.node.get_logger()
        self.options = options_of(self.node, given)
        rules = remapping(self.options.remap)
        self._stop = threading.Event()
        self._playback = Playback(self.options.bag, self.options.topics, self._log.warning)
        self._playback.__enter__()
        self._start = self._playback.start + round(self.options.start * 1e9)
        self._end = self._playback.end
        if self.options.duration > 0:
            self._end = min(self._end, self._start + round(self.options.duration * 1e9))
        if self._start >= self._end:
            raise ConfigurationError(
                f"start: {self.options.start} s",
                expected=f"less than the bag's {(self._end - self._playback.start) * 1e-9:.1f} s",
                fix="correct start",
            )
        self._clock = PlayClock(self.node, self.options.rate, self.options.clock, self._stop)
        self._publishers = BagPublishers(
            self.node, self._playback, rules, self.options.prefix, self._log.warning
        )
        self._contest = ""
        if self.options.clock:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self.node.create_timer(CONTEST_PERIOD_S, self._look_at_clock, clock=steady)
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop playing and close the bag."""
        self._stop.set()
        self._thread.join(10.0)
        self._playback.__exit__(None, None, None)

    def _look_at_clock(self) -> None:
        """Warn when another player publishes the same clock."""
        contest = contested_clock(self.node)
        if contest and contest != self._contest:
            self._log.warning(contest)
        self._contest = contest

    def _run(self) -> None:
        try:
            self._play()
        except DepthPerceptionError as error:
            self._log.fatal(str(error))
            self.exit_code = 1
        except Exception:  # of whatever kind: a bag that broke off is no success
            self._log.fatal(f"playing broke off: {traceback.format_exc()}")
            self.exit_code = 1
        finally:
            self.finished.set()

    def _play(self) -> None:
        limit = self.options.wait_for_subscribers
        if limit and not self._publishers.wait_for_subscribers(limit, self._stop):
            self._log.warning(f"nobody listens after {limit:.0f} s; playing all the same")
        length = (self._end - self._start) * 1e-9
        self._log.info(f"playing {length:.1f} s of {self._playback.path} at {self.options.rate:g}x")
        while not self._stop.is_set():
            self._play_once(length)
            if not self.options.loop:
                break
        self._publishers.flush(FLUSH_S)
        topic = self.options.wait_for_results
        if topic and not wait_until_idle(self.node, topic, RESULTS_S, self._stop):
            self._log.warning(f"{topic}: still computing; what is left of the bag gets no depth")
        if self._clock.lateness > 0.5:
            self._log.warning(
                f"messages went out up to {self._clock.lateness:.1f} s late; fix: a lower rate"
            )

    def _play_once(self, length: float) -> None:
        clock, reported, count = self._clock, time.monotonic(), 0
        clock.begin(self._start)
        bar = tqdm(total=round(length, 1), unit="s", disable=not sys.stderr.isatty())
        with bar:
            for message in self._playback.messages(self._start, self._end):
                if not clock.wait_until(message.time):
                    return
                clock.publish(message.time)
                self._publishers.publish(message.topic, message.data)
                count += 1
                done = (message.time - self._start) * 1e-9
                bar.update(round(done - bar.n, 1))
                if bar.disable and time.monotonic() - reported >= REPORT_PERIOD_S:
                    reported = time.monotonic()
                    self._log.info(f"{done:.1f} of {length:.1f} s")
        clock.wait_until(self._end + round(AFTER_BAG_S * self.options.rate * 1e9))
        if not self.options.loop:
            self._log.info(f"played {count} messages")


def main(args: Sequence[str] | None = None) -> int:
    """Play until the bag is over, or until SIGINT or SIGTERM."""
    own, for_ros = process.split_arguments(sys.argv[1:] if args is None else args)
    given = parse(own)
    return process.run("bag_player", lambda: BagPlayer(given), for_ros)


if __name__ == "__main__":
    sys.exit(main())
