import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edge_avsc.training.classes import GROUPS, LABELS, NONE
from edge_avsc.training.fusion import Experts, FusionHead, best_temperature, log_loss
from edge_avsc.training.places import CHOSEN


@pytest.fixture
def head() -> FusionHead:
    generator = torch.Generator().manual_seed(1)
    experts = Experts(
        sound_weight=torch.randn(10, 128, generator=generator) / 8,
        sound_bias=torch.zeros(10),
        picture_weight=torch.randn(18, 128, generator=generator) / 8,
        picture_bias=torch.zeros(18),
        places_weight=torch.randn(len(CHOSEN), 128, generator=generator) / 8,
        places_bias=torch.zeros(len(CHOSEN)),
        group_of_category=[i % len(GROUPS) for i in range(18)],
        picture_priors=[1 / len(GROUPS)] * len(GROUPS),
        sound_none_weight=torch.randn(1, 128, generator=generator) / 8,
        sound_none_bias=0.0,
        sound_temperature=1.2,
    )
    fusion = FusionHead(experts)
    fusion.eval()
    return fusion


def test_an_absent_modality_has_no_influence_whatever_it_holds(head: FusionHead) -> None:
    known, junk = torch.randn(4, 128), torch.full((4, 128), float("nan"))
    heard, seen = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([[0.0, 1.0]] * 4)
    for inputs, blank in (
        ((known, junk, heard), (known, known * 0, heard)),
        ((junk, known, seen), (known * 0, known, seen)),
    ):
        for one, other in zip(head(*inputs), head(*blank), strict=True):
            assert torch.equal(one, other)


def test_both_is_the_product_of_the_two(head: FusionHead) -> None:
    audio, image = torch.randn(4, 128), torch.randn(4, 128)
    logits = {p: head(audio, image, torch.tensor([p] * 4))[0] for p in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))}
    torch.testing.assert_close(logits[1.0, 1.0], logits[1.0, 0.0] + logits[0.0, 1.0])


SEEN = torch.tensor([[0.0, 1.0]])


def called_places(head: FusionHead, *indices: int) -> None:
    """Let the head call every picture these of Places365's places, alike."""
    with torch.no_grad():
        head.places.weight.zero_()
        head.places.bias.copy_(torch.tensor([6.0 * (index in indices) for index in CHOSEN]))


def test_pictures_leave_bus_metro_and_tram_to_the_sound(head: FusionHead) -> None:
    bus_interior, train_interior = 70, 336
    embeddings, seen = torch.randn(64, 128), SEEN.repeat(64, 1)
    ratios = []
    for called in ((bus_interior,), (bus_interior, train_interior), (train_interior,)):
        called_places(head, *called)
        logits = head(torch.zeros(64, 128), embeddings, seen)[0]
        bus, metro, tram = (logits[:, LABELS.index(name)] for name in ("bus", "metro", "tram"))
        torch.testing.assert_close(metro, tram)
        ratios.append(bus - metro)
    first, alike, last = ratios
    assert bool(((first > alike) & (alike > 0) & (alike > last)).all())


def test_sharpening_makes_pictures_surer_of_the_same_labels(head: FusionHead) -> None:
    inputs = torch.zeros(64, 128), torch.randn(64, 128), SEEN.repeat(64, 1)
    plain = torch.softmax(head(*inputs)[0], 1)
    head.sharpen(0.5)
    sharp = torch.softmax(head(*inputs)[0], 1)
    assert torch.equal(plain.argmax(1), sharp.argmax(1))
    assert bool((sharp.amax(1) > plain.amax(1)).all())


def test_what_places_a_picture_shows_moves_its_label(head: FusionHead) -> None:
    plaza, street = 270, 319
    embeddings, seen = torch.randn(64, 128), SEEN.repeat(64, 1)
    odds = []
    for called in (plaza, street):
        called_places(head, called)
        logits = head(torch.zeros(64, 128), embeddings, seen)[0]
        odds.append(logits[:, LABELS.index("street_traffic")] - logits[:, LABELS.index("public_square")])
    assert bool((odds[1] > odds[0] + 0.5).all())


def test_none_of_ours_goes_by_the_likeliest_category_more_than_by_many_unlikely_ones(head: FusionHead) -> None:
    ours, none = GROUPS.index("park"), NONE
    of = torch.tensor([i % len(GROUPS) for i in range(18)])
    wide, peaked = torch.full((18,), -20.0), torch.full((18,), -20.0)
    # The same odds by sums of two categories: by two alike, or by one of them.
    wide[of == none] = float(torch.log(torch.tensor(0.5)))
    peaked[torch.nonzero(of == none)[0]] = 0.0
    wide[of == ours] = peaked[of == ours] = 0.0
    head.picture = torch.nn.Linear(128, 18)
    said = []
    for logits in (wide, peaked):
        with torch.no_grad():
            head.picture.weight.zero_()
            head.picture.bias.copy_(logits)
            said.append(float(head(torch.zeros(1, 128), torch.zeros(1, 128), SEEN)[1]))
    assert said[1] > said[0] + 0.3


def test_the_best_temperature_undoes_a_scale() -> None:
    random = np.random.default_rng(1)
    logits = random.standard_normal((20_000, 10))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(1)
    assert best_temperature(logits, labels) == pytest.approx(1.0, rel=0.06)
    assert best_temperature(logits * 2, labels) == pytest.approx(2.0, rel=0.06)
    assert log_loss(logits * 2, labels, 2.0) == pytest.approx(log_loss(logits, labels))
