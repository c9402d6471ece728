"""Meshes in files as grids of signed distances."""

from synthgen.meshes.files import Mesh, MeshError, MeshReport
from synthgen.meshes.folder import MeshGrids, mesh_grids
from synthgen.meshes.grid import normalised, signed_distance_grid

__all__ = [
    "Mesh",
    "MeshError",
    "MeshGrids",
    "MeshReport",
    "mesh_grids",
    "normalised",
    "signed_distance_grid",
]
