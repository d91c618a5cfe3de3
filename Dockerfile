# ROS 2 Jazzy with depth_perception, built as README.md says for a robot.
#
#   docker build -t depth_perception .
#   docker run --rm --network=host --ipc=host depth_perception params_file:=nuscenes
#
# docs/container.md says more: GPU, domain, shared memory, other distributions.
ARG ROS_DISTRO=jazzy
ARG BASE=ros:${ROS_DISTRO}-ros-base
FROM ${BASE} AS base
ARG ROS_DISTRO
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /ros2_ws

# Dependencies first: they change less often than the package, and are kept from one build to the next.
COPY package.xml src/depth_perception/package.xml
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rosdep update --rosdistro "$ROS_DISTRO" \
 && rosdep install --from-paths src --ignore-src -y --dependency-types=exec --dependency-types=build \
        --dependency-types=buildtool --dependency-types=build_export \
 && rm -rf /var/lib/apt/lists/* ~/.ros

COPY requirements/${ROS_DISTRO}.txt requirements.txt
# ONNXRUNTIME=onnxruntime-gpu runs the network on a GPU; both at once get into each other's way.
ARG ONNXRUNTIME=onnxruntime
RUN python3 -m venv --system-site-packages venv \
 && touch venv/COLCON_IGNORE \
 && if [ "$ONNXRUNTIME" = onnxruntime ]; then \
        venv/bin/pip install --no-cache-dir -r requirements.txt; \
    else \
        venv/bin/pip install --no-cache-dir -c requirements.txt "$ONNXRUNTIME" rosbags; \
    fi

FROM base AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY . src/depth_perception
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" \
 && source venv/bin/activate \
 && colcon build --packages-select depth_perception --cmake-args -DBUILD_TESTING=OFF

FROM base AS run
COPY --from=build /ros2_ws/install install
COPY scripts/container_entry.bash /usr/local/bin/container_entry
# Machine code of the loops, which would take a minute at the first start.
RUN container_entry python3 -m depth_perception.motion.warm_up \
 && useradd --create-home --uid 10001 robot && chown -R robot install
USER 10001
ENTRYPOINT ["container_entry"]
CMD ["ros2", "launch", "--noninteractive", "depth_perception", "surround.launch.py"]
STOPSIGNAL SIGINT
