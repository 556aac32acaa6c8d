"""The fault suite: what breaks, when it breaks, and that nothing is lost or said twice."""
