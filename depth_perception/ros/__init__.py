"""The only place that imports ROS: messages, parameters, transforms, topics, diagnostics."""
