"""Volumes made while a network trains: batches of torch tensors, on the device that trains."""

from synthgen.feeding.feed import Feed, feed

__all__ = ["Feed", "feed"]
