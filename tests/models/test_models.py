"""Shapes, weights and the link between features and logits."""

import pytest
import torch

from ibtutor import models


def weights(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


CASES = {
    "mlp": (lambda: models.MLP(192, (32, 16), 7, batch_norm=True), 3, 8),
    "small_cnn": (lambda: models.SmallCNN(3, 7, width=8), 3, 16),
    "small_cnn_hidden": (lambda: models.SmallCNN(1, 7, 8, 2, pooled=2, hidden=16), 1, 16),
    "resnet8": (lambda: models.ResNet(8, 7, 1), 1, 60),
    "cct": (lambda: models.CCT(32, 7, layers=2, heads=2, width=32, tokenizer=((3, 1),)), 3, 32),
}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_the_last_layer_of_the_features(name):
    build, channels, side = CASES[name]
    torch.manual_seed(0)
    model = build().eval()
    x = torch.randn(3, channels, side, side)
    logits, features = model(x), model.features(x)
    assert logits.shape == (3, 7)
    assert features.shape == (3, model.classifier.in_features)
    assert torch.allclose(model.classifier(features), logits, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_every_weight_has_a_gradient(name):
    build, channels, side = CASES[name]
    torch.manual_seed(0)
    model = build().train()
    loss = torch.nn.functional.cross_entropy(
        model(torch.randn(4, channels, side, side)), torch.tensor([0, 1, 2, 3])
    )
    loss.backward()
    for name_, p in model.named_parameters():
        assert p.grad is not None, name_
        assert bool(torch.isfinite(p.grad).all()), name_


def test_numbers_of_weights_are_those_of_the_papers():
    assert round(weights(models.resnet20()) / 1e6, 2) == 0.27
    assert round(weights(models.resnet56()) / 1e6, 2) == 0.85
    # 7 layers of width 256 and ratio 2, two 7x7 convolutions, pooling, last layer.
    layer = 3 * 256**2 + 256**2 + 256 + 2 * 256 * 512 + 512 + 256 + 4 * 256
    rest = 49 * (3 * 64 + 64 * 256) + 2 * 256 + 257 + 256 * 102 + 102
    assert weights(models.cct_7_7x2()) == 7 * layer + rest
    assert models.cct_7_7x2().tokens == 196


def test_resnet_shortcuts_have_no_weights():
    shapes = [tuple(p.shape) for p in models.resnet20().parameters() if p.ndim == 4]
    assert all(shape[2:] == (3, 3) for shape in shapes)
    assert len(shapes) == 19


def test_resnet_starts_kaiming_normal():
    torch.manual_seed(0)
    model = models.resnet56()
    weight = model.layer3[4].conv2.weight.detach()
    assert float(weight.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.03)
    assert float(model.classifier.weight.detach().std()) == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def test_feature_map_of_a_cluttered_canvas_is_15_by_15():
    model = models.resnet20(in_channels=1)
    assert model.feature_map(torch.zeros(2, 1, 60, 60)).shape == (2, 64, 15, 15)


def test_cct_drops_attention_and_branches_only_in_training():
    torch.manual_seed(0)
    model = models.CCT(32, 5, layers=2, heads=2, width=32, tokenizer=((3, 1),))
    x = torch.randn(8, 3, 32, 32)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_stochastic_depth_keeps_the_mean():
    from ibtutor.models.cct import _Layer

    torch.manual_seed(0)
    layer = _Layer(8, 2, 16, 0.0, 0.3).train()
    branch = torch.ones(20_000, 1, 8)
    kept = layer._maybe(branch)
    assert sorted(kept.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert float(kept.mean()) == pytest.approx(1, abs=0.03)


def test_positions_are_sines_and_cosines():
    model = models.CCT(32, 5, layers=1, heads=2, width=32, tokenizer=((3, 1),))
    position, channel = 7, 4
    angle = torch.tensor(position / 10000 ** (channel / 32))
    assert float(model.positions[0, position, channel]) == pytest.approx(float(angle.sin()))
    assert float(model.positions[0, position, channel + 1]) == pytest.approx(float(angle.cos()))


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match="6n \\+ 2"):
        models.ResNet(21)
    with pytest.raises(ValueError, match="heads must divide width"):
        models.CCT(heads=3, width=32)
    with pytest.raises(ValueError, match="fewer convolutions"):
        models.CCT(size=16, width=32)
