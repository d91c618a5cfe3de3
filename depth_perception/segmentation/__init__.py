"""Where the road is: ONNX segmenters, label images, or a geometric region."""
