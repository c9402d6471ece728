"""Banks of a few simple people."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from synthgen.bank import BankError, Mask, Subject, build_bank, level
from synthgen.bank.bank import ARRAYS, Bank, grid_of, slope_of
from synthgen.bank.build import STRUCTURES_MAX
from synthgen.bank.measure import measured
from synthgen.kernels.anatomy_records import BANK_POINTS, BankShape

SPACING = 2.0


def block(low: tuple[int, int, int], sides: tuple[int, int, int], side: float = 2.0) -> Mask:
    """A block of voxels; x y z, low in voxels."""
    affine = np.diag([side, side, side, 1.0])
    affine[:3, 3] = np.array(low) * side
    return Mask(np.ones(sides, bool), affine)


def person(number: int, **more: Mask) -> Subject:
    """Two organs in a body of 120 x 80 x 60 mm, a little different in each person."""
    shift = number % 3
    parts = {
        "organ left": block((5, 10 + shift, 8), (8 + number, 10, 12)),
        "organ right": block((40, 10 - shift, 8), (8, 10 + number, 12)),
        "spine": block((25, 2, 2 + shift), (6, 6, 26)),
    }
    body = np.array([[0.0, 0.0, 0.0], [60.0, 80.0, 120.0]])
    return Subject(parts | more, body)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return build_bank([person(n) for n in range(4)], spacing=SPACING)


def test_what_a_bank_holds(bank: Bank) -> None:
    assert bank.names == ("organ left", "organ right", "spine")
    assert bank.mirrors.tolist() == [1, 0, 2]
    assert bank.body.tolist() == [60.0, 80.0, 120.0]
    assert bank.present.all()
    sizes = {"subject": 4, "structure": 3}
    for name, axes in ARRAYS.items():
        shape = getattr(bank, name).shape
        assert len(shape) == len(axes)
        assert all(sizes.get(axis, n) == n for axis, n in zip(axes, shape, strict=True))
    assert bank.points.shape[2] == BANK_POINTS
    offsets = bank.shapes[..., BankShape.OFFSET].ravel()
    assert offsets[0] == 0
    assert (np.diff(offsets) > 0).all()


def test_measures_of_blocks(bank: Bank) -> None:
    found = sorted(bank.volumes[:, 2].tolist())
    np.testing.assert_allclose(found, [6 * 6 * 26 * 8] * 4, rtol=0.03)
    s = int(np.argmin(bank.volumes[:, 0]))  # person 0
    low, high = bank.boxes[s, 0, :3], bank.boxes[s, 0, 3:]
    np.testing.assert_allclose(high - low, [24, 20, 16], atol=0.6)
    # The voxels' centres are at 2 n mm: x from 9 to 25 mm.
    np.testing.assert_allclose(bank.centroids[s, 0] * [60, 80, 120], [27, 29, 17], atol=0.1)
    np.testing.assert_allclose(np.abs(bank.axes[s, 2, 0]), [1, 0, 0], atol=1e-4)
    products = bank.axes @ np.swapaxes(bank.axes, -1, -2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), products.shape), atol=1e-3)


def test_points_lie_on_the_surface(bank: Bank) -> None:
    for s in range(bank.subjects):
        for c in range(3):
            points, box = bank.points[s, c], bank.boxes[s, c]
            assert ((points >= box[:3]) & (points <= box[3:])).all()
            grid, row = bank.grid(s, c), bank.shapes[s, c]
            centre = row[BankShape.CENTRE : BankShape.CENTRE + 3] / 4096
            nearest = np.rint(points / SPACING + centre).astype(int)
            assert np.abs(grid[tuple(nearest.T)]).max() <= 16
            assert (nearest.max(0) - nearest.min(0) >= (box[3:] - box[:3]) / SPACING - 2).all()


def test_statistics(bank: Bank) -> None:
    rows = bank.centroids[:, 0]
    np.testing.assert_allclose(bank.means[0], rows.mean(0) * bank.body, atol=1e-3)
    covariance = np.cov(rows.T)
    extents = (bank.boxes[:, 0, 3:] - bank.boxes[:, 0, :3]).mean(0) / bank.body
    expected = 0.5 * covariance + 0.5 * np.diag(np.diag(covariance))
    expected += np.diag((0.1 * extents) ** 2) + 0.015**2 * np.eye(3)
    expected *= bank.body[:, None] * bank.body
    np.testing.assert_allclose(bank.factors[0] @ bank.factors[0].T, expected, atol=1e-3)
    assert (np.triu(bank.factors, 1) == 0).all()
    logs = np.log(bank.volumes[:, 0])
    np.testing.assert_allclose(bank.log_volumes[0], [logs.mean(), max(logs.std(ddof=1), 0.15)],
                               atol=1e-4)  # fmt: skip


def test_all_is_rounded(bank: Bank) -> None:
    for name in ("body", "volumes", "centroids", "means", "factors", "log_volumes", "axes"):
        values = getattr(bank, name) * 65536
        np.testing.assert_array_equal(values, np.rint(values))


def test_order_of_people_plays_no_part(bank: Bank) -> None:
    other = build_bank([person(n) for n in (2, 0, 3, 1)], spacing=SPACING)
    assert other.digest == bank.digest


def test_digest_is_of_everything(bank: Bank) -> None:
    digests = {bank.digest, replace(bank, spacing=1.0).digest}
    for name in ARRAYS:
        values = getattr(bank, name).copy()
        values.flat[0] += 1
        digests.add(replace(bank, **{name: values}).digest)
    changed = bank.relations.model_copy(update={"orders": ()})
    digests.add(replace(bank, relations=changed).digest)
    assert len(digests) == len(ARRAYS) + 3


def test_slope_bounds_all_differences() -> None:
    grid = np.random.default_rng(2).integers(-512, 513, (5, 6, 7)).astype(np.int16)
    places, values = np.argwhere(np.ones(grid.shape, bool)), grid.ravel() / 16
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    rise = np.abs(values[:, None] - values[None])
    steepest = (rise[apart > 0] / apart[apart > 0]).max() * 256
    assert steepest <= slope_of(grid) <= 1.13 * steepest + 1
    assert slope_of(np.zeros((2, 2, 2), np.int16)) == 0
    ramp = np.broadcast_to(np.arange(0, 16 * 9, 16, dtype=np.int16), (4, 5, 9))
    assert slope_of(np.ascontiguousarray(ramp)) == int(np.ceil(1.1284 * 256))


@pytest.mark.parametrize("k", [0, 1, 2])
def test_levels(bank: Bank, k: int) -> None:
    distances, shapes = level(bank, k)
    step = 2**k
    assert distances.dtype == np.int16
    for s, c in np.ndindex(bank.subjects, 3):
        fine, coarse = bank.grid(s, c), grid_of(distances, shapes[s, c])
        inner = coarse[:-1, :-1, :-1]
        samples = fine[::step, ::step, ::step][tuple(map(slice, inner.shape))]
        assert np.abs(inner - samples / step).max() <= 0.5
        reach = (np.array(coarse.shape) - 1) * step
        assert (reach >= np.array(fine.shape) - 1).all()
        assert (reach < np.array(fine.shape) - 1 + step).all()
        centres = [rows[s, c, BankShape.CENTRE : BankShape.CENTRE + 3] for rows in
                   (bank.shapes, shapes)]  # fmt: skip
        assert np.abs(centres[0] / step - centres[1]).max() <= 0.5
        assert shapes[s, c, BankShape.SLOPE] == slope_of(coarse)
    assert sum(grid_of(distances, row).size for row in shapes.reshape(-1, 8)) == distances.size


def test_halves_are_rounded_away_from_zero() -> None:
    from synthgen.bank.bank import _coarser

    grid = np.array([[[-3, 9, -2, 9, -1, 9, 1, 9, 3]]], np.int16)
    assert _coarser(grid, 1).tolist() == [[[-2, -1, -1, 1, 2]]]


def test_one_person_works_and_is_remarked() -> None:
    remarks: list[str] = []
    one = build_bank([person(0)], spacing=SPACING, on_remark=remarks.append)
    assert remarks == ["1 subject: how much people differ is unknown; priors are widened"]
    extents = (one.boxes[0, 0, 3:] - one.boxes[0, 0, :3]) / one.body
    expected = np.sqrt((0.2 * extents) ** 2 + 0.015**2) * one.body
    np.testing.assert_allclose(np.diag(one.factors[0]), expected, atol=1e-3)
    assert one.log_volumes[0, 1] == pytest.approx(0.3, abs=1e-4)


def test_a_structure_of_one_person_works_and_is_remarked() -> None:
    remarks: list[str] = []
    extra = block((30, 25, 10), (6, 6, 6))
    people = [person(0, extra=extra), person(1), person(2)]
    found = build_bank(people, spacing=SPACING, on_remark=remarks.append)
    assert remarks == ["extra: in 1 of 3 subjects; its priors are widened"]
    c = found.names.index("extra")
    assert found.present[:, c].sum() == 1
    assert (found.shapes[~found.present] == 0).all()
    _, shapes = level(found, 1)
    assert ((shapes[..., BankShape.DEPTH] > 0) == found.present).all()


def test_what_the_lattice_misses_is_left_out_and_remarked() -> None:
    remarks: list[str] = []
    tiny = block((303, 203, 103), (1, 1, 1), 0.2)
    people = [person(n, tiny=tiny) for n in range(2)]
    found = build_bank(people, spacing=SPACING, on_remark=remarks.append)
    assert remarks == ["tiny: too small for a lattice of 2 mm; left out of one subject"] * 2
    assert "tiny" not in found.names


def test_containers_are_filled() -> None:
    shell = block((2, 2, 2), (30, 30, 26))
    hollow = shell.voxels.copy()
    hollow[10:20, 10:20, 8:18] = False
    body = np.array([[0.0, 0.0, 0.0], [60.0, 80.0, 120.0]])
    people = []
    for n in range(2):
        core = block((12, 12, 10 + n), (10, 10, 10 - n))
        people.append(Subject({"core": core, "shell": Mask(hollow, shell.affine)}, body))
    found = build_bank(people, spacing=SPACING)
    (contact,) = (c for c in found.relations.contacts if c.kind == "inside")
    assert (contact.of, contact.to) == ("core", "shell")
    middle = tuple(n // 2 for n in found.grid(0, 1).shape)
    assert found.grid(0, 1)[middle] < -10 * 16
    assert found.volumes[0, 1] == pytest.approx(30 * 30 * 26 * 8, rel=0.08)


def test_measured_ellipsoid_axes() -> None:
    z, y, x = np.meshgrid(*(np.arange(-24.0, 25),) * 3, indexing="ij")
    long, short = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    inside = (long / 16) ** 2 + (short / 8) ** 2 + (z / 4) ** 2
    grid = np.clip(np.rint((np.sqrt(inside) - 1) * 64), -512, 512).astype(np.int16)
    found = measured(grid, 1.0)
    expected = [[0, 0.7071, 0.7071], [0, 0.7071, 0.7071], [1, 0, 0]]
    np.testing.assert_allclose(np.abs(found.axes), expected, atol=0.01)
    np.testing.assert_allclose(found.centre, 24 * 4096, atol=8)


def test_stages_are_told() -> None:
    stages: list[str] = []
    build_bank([person(0), person(1)], spacing=SPACING, on_stage=stages.append)
    assert stages == ["distances", "distances", "containers", "relations", "shapes"]


def test_refusals() -> None:
    body = np.array([[0.0, 0.0, 0.0], [60.0, 80.0, 120.0]])
    with pytest.raises(BankError, match=r"spacing: must be 0\.05 to 50 mm, got 0"):
        build_bank([person(0)], spacing=0.0)
    with pytest.raises(BankError, match=r"spacing: must be .* got nan"):
        build_bank([person(0)], spacing=float("nan"))
    with pytest.raises(BankError, match="inputs: must hold a structure that can be used"):
        build_bank([], spacing=SPACING)
    with pytest.raises(BankError, match="inputs: must hold a structure that can be used"):
        build_bank([Subject({}, body)], spacing=SPACING)
    with pytest.raises(BankError, match="body: must have sides above 0 mm"):
        build_bank([replace(person(0), body=body * 0)], spacing=SPACING)
    many = {f"s{n}": block((2, 2, 2), (1, 1, 1)) for n in range(STRUCTURES_MAX + 1)}
    with pytest.raises(BankError, match="inputs: must hold at most 255 structures, got 256"):
        build_bank([Subject(many, body)], spacing=SPACING)


def test_too_large_a_bank_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthgen.bank.build.VALUES_MAX", 1000)
    with pytest.raises(BankError, match="spacing: a bank must hold at most 1000 values, got"):
        build_bank([person(0)], spacing=SPACING)


def test_a_bank_too_large_is_refused_before_its_grids_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def grid(*_: object) -> None:
        made.append(1)
        raise ValueError("is made")

    monkeypatch.setattr("synthgen.bank.build.structure_grid", grid)
    monkeypatch.setattr("synthgen.bank.build.VALUES_MAX", 1000)
    with pytest.raises(BankError, match="a bank must hold at most 1000 values, got"):
        build_bank([person(0)], spacing=SPACING)
    with pytest.raises(BankError, match="body: must have sides above 0 mm"):
        build_bank([replace(person(0), body=np.zeros((2, 3)))], spacing=SPACING)
    assert made == []


def test_people_are_checked_as_they_come() -> None:
    came = []

    def people() -> Iterator[Subject]:
        for n in (0, 1, 2):
            came.append(n)
            person_n = person(n)
            yield replace(person_n, body=person_n.body * (n != 1))

    with pytest.raises(BankError, match="body: must have sides above 0 mm"):
        build_bank(people(), spacing=SPACING)
    assert came == [0, 1]


def test_a_structure_in_two_pairs_is_refused() -> None:
    pairs = [("organ left", "organ right"), ("spine", "organ right")]
    with pytest.raises(BankError, match="mirrors: a structure has one mirror image"):
        build_bank([person(0)], spacing=SPACING, mirrors=lambda names: pairs)
