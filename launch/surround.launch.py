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

"""Start surround depth: ``ros2 launch depth_perception surround.launch.py --show-args``.

What is started is described in `depth_perception.nodes.bringup`; this only speaks launch's
language.
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from depth_perception.nodes.bringup import ARGUMENTS, Process, notice, processes
from depth_perception.ros.dds_profile import transport_environment


def _node(process: Process) -> Node:
    """Turn a process into a launch action; one that is required, or fails, ends the others."""

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if process.required or event.returncode:
            return [Shutdown(reason=f"{process.name} has ended")]
        return []

    return Node(
        package=process.package,
        executable=process.executable,
        name=process.name,
        namespace=process.namespace,
        parameters=[*process.parameter_files, dict(process.parameters)],
        remappings=list(process.remappings),
        arguments=list(process.arguments),
        ros_arguments=["--log-level", process.log_level],
        output="screen",
        on_exit=on_exit,
    )


def _actions(context: LaunchContext) -> list[Action]:
    """Read the arguments and list what they ask for."""
    values = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    environment = transport_environment(values["fastdds_profile"])
    text = notice(values)
    return [
        *([LogInfo(msg=text)] if text else []),
        *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
        *(_node(process) for process in processes(values)),
    ]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the processes."""
    arguments = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            **({"choices": list(argument.choices)} if argument.choices else {}),
        )
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_actions)])
