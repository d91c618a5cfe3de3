"""From CameraInfo, transforms and masks to the rig: camera topics, builder, ego masks."""
