"""Label values to those of another list of classes. Twin of ``relabel.cu``."""

from .jit import kernel


@kernel
def relabel(values, label):
    """Give each voxel's label its new value.

    Args:
        values: (L,) of the labels' type, the new value of each.
        label: (V,) unsigned, values below L, changed in place.
    """
    for at in range(label.size):
        label[at] = values[label[at]]
