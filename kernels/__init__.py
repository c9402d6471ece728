"""Voxel code: a kernel is a pair of files of one name, CUDA C++ (``x.cu``) and its Numba twin.

Functions are deterministic in (parameters, voxel, counter), write in place into arrays that the
caller owns, and use integers or IEEE arithmetic in one fixed order, so both files of a pair
give the same bits. Overlap placement is the one kernel with a single source (``place_overlap.py``),
compiled by Numba for both targets.
"""
