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

from depth_perception.nodes.bringup import ARGUMENTS, Process, namespace_in, notice, processes
from depth_perception.ros.dds_profile import transport_environment
from depth_perception.ros.launcher import ends_with_us


def _node(process: Process) -> Node:
    """Turn a process into a launch action.

    When one that is required ends, or any but an optional one fails, the others are ended, too.
    """

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if process.optional:
            return [] if context.is_shutdown else [LogInfo(msg=process.left(event.returncode))]
        if process.required or event.returncode:
            return [Shutdown(reason=f"{process.name} has ended")]
        return []

    return Node(
        package=process.package,
        executable=process.executable,
        name=process.name,
        namespace=f"/{process.namespace}",  # with what was pushed, so it is not put before it
        parameters=[*process.parameter_files, dict(process.parameters)],
        remappings=list(process.remappings),
        arguments=list(process.arguments),
        ros_arguments=list(process.log_arguments),
        output="screen",
        additional_env=ends_with_us(),
        on_exit=on_exit,
    )


def _actions(context: LaunchContext) -> list[Action]:
    """Read the arguments and list what they ask for."""
    values = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    pushed = context.launch_configurations.get("ros_namespace") or ""
    values["namespace"] = namespace_in(pushed, values["namespace"])
    environment = transport_environment(values["fastdds_profile"])
    wanted = processes(values)
    text = notice(values, context.launch_configurations.get("ros_remaps") or ())
    notes = [*([text] if text else []), *(note for process in wanted for note in process.notes)]
    return [
        *(LogInfo(msg=note) for note in notes),
        *(SetEnvironmentVariable(name, value) for name, value in environment.items()),
        *(_node(process) for process in wanted),
    ]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the processes."""
    # Without launch's own choices: they refuse True for true, and say so twice.
    arguments = [
        DeclareLaunchArgument(
            argument.name, default_value=argument.default, description=argument.help
        )
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_actions)])
