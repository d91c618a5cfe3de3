"""Training: samples, losses, the loop; one file for each system that can be trained."""
