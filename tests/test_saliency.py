import pytest
import torch
from torch import nn

from ibtutor.saliency import display_map, find_layer, grad_cam, mass_share, mean_around_box
from ibtutor.train import predict


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


@pytest.fixture
def images():
    return torch.rand(7, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def test_equals_pytorch_grad_cam(model, images):
    library = pytest.importorskip("pytorch_grad_cam")
    targets = torch.tensor([3, 1, 4, 1, 5, 9, 2])
    wanted = [library.utils.model_targets.ClassifierOutputTarget(int(t)) for t in targets]
    with library.GradCAM(model=model, target_layers=[model[4]]) as cam:
        expected = torch.from_numpy(cam(input_tensor=images, targets=wanted))
    maps, _ = grad_cam(model, images, "4", targets=targets)
    torch.testing.assert_close(display_map(maps, (16, 16)), expected, atol=1e-5, rtol=0)


def test_equals_a_loop_over_images_and_channels(model, images):
    """The definition, one image at a time, from the whole graph."""
    maps, logits = grad_cam(model, images, "4", batch_size=3)
    model.eval()
    for n in range(len(images)):
        a = model[:5](images[n : n + 1]).detach().requires_grad_()
        score = model[5:](a)[0].max()
        (gradient,) = torch.autograd.grad(score, a)
        expected = torch.zeros(8, 8)
        for c in range(8):
            expected += gradient[0, c].mean() * a[0, c].detach()
        torch.testing.assert_close(maps[n], expected.clamp(min=0))
    torch.testing.assert_close(logits, model(images).detach())


def test_after_global_pooling_weights_are_those_of_the_last_layer(model, images):
    """A head of average pooling and one linear layer makes Grad-CAM a class activation map."""
    maps, logits = grad_cam(model, images, "5")
    activations = model.eval()[:6](images).detach()
    weight = model[8].weight.detach()[logits.argmax(1)]
    expected = torch.einsum("nc,nchw->nhw", weight, activations).clamp(min=0) / 64
    torch.testing.assert_close(maps, expected)


def test_mode_and_gradients_are_left_alone(model, images):
    model.train()
    with torch.no_grad():
        maps, logits = grad_cam(model, images, "4")
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert not maps.requires_grad
    assert not logits.requires_grad


def test_each_module_keeps_its_mode(model, images):
    model.train()
    model[1].eval()  # a frozen batch normalization
    before = model[1].running_mean.clone()
    grad_cam(model, images, "4")
    predict(model, images)
    assert not model[1].training
    assert model[0].training
    model(images)
    assert torch.equal(model[1].running_mean, before)


def test_a_layer_before_one_that_works_in_place(model, images):
    expected, _ = grad_cam(model, images, "4")
    model[5].inplace = True
    maps, _ = grad_cam(model, images, "4")
    assert torch.equal(maps, expected)


def test_gradients_may_be_switched_off_either_way(model, images):
    expected, _ = grad_cam(model, images, "4")
    with torch.inference_mode():
        maps, _ = grad_cam(model, images.clone(), "4")
    assert torch.equal(maps, expected)


def test_a_model_without_parameters(images):
    pool = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
    maps, _ = grad_cam(pool, images, "0")
    assert maps.shape == (7, 4, 4)


@pytest.mark.parametrize("count", [1, 6, 8])
def test_each_image_needs_a_target(model, images, count):
    with pytest.raises(ValueError, match=rf"targets must have shape \(7,\), got \({count},\)"):
        grad_cam(model, images, "4", targets=torch.zeros(count, dtype=torch.int64))


def test_a_layer_that_gives_a_tuple_is_refused(images):
    recurrent = nn.Sequential(nn.Flatten(2), nn.Flatten(0, 1), nn.LSTM(256, 4))
    with pytest.raises(ValueError, match=r"layer '2' must give one tensor .* got a tuple"):
        grad_cam(recurrent, images, "2")
    assert not recurrent[2]._forward_hooks


def test_a_layer_that_is_not_there_is_refused(model, images):
    with pytest.raises(ValueError, match=r"no layer named 'layer9'; .* \['0', '4'\]"):
        grad_cam(model, images, "layer9")
    with pytest.raises(ValueError, match="no layer named ''"):
        find_layer(model, "")
    with pytest.raises(ValueError, match=r"got \[\(7, 10\)\]"):
        grad_cam(model, images, "8")
    assert not model[8]._forward_hooks


def test_share_of_simple_maps():
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[:, :2] = True
    maps = torch.zeros(2, 4, 4)
    maps[0, 0, 0] = 5.0
    maps[1, 0, 0], maps[1, 3, 3] = 1.0, 3.0
    torch.testing.assert_close(
        mass_share(maps, masks), torch.tensor([1.0, 0.25], dtype=torch.float64)
    )


def test_share_does_not_depend_on_the_scale_of_a_map():
    maps = torch.rand(5, 4, 4)
    masks = torch.rand(5, 12, 12) > 0.5
    torch.testing.assert_close(mass_share(maps, masks), mass_share(1e6 * maps, masks))


def test_a_map_that_ignores_the_mask_gets_the_area_on_average():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(4000, 3, 3, generator=generator)
    masks = torch.zeros(4000, 12, 12, dtype=torch.bool)
    masks[:, 2:8, 2:8] = True
    assert abs(float(mass_share(maps, masks).mean()) - 0.25) < 0.01


def test_constant_maps_raise_or_are_marked():
    maps = torch.stack([torch.zeros(4, 4), torch.full((4, 4), 2.0), torch.eye(4)])
    masks = torch.ones(3, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="2 of 3 saliency maps are constant"):
        mass_share(maps, masks)
    share = mass_share(maps, masks, on_constant="nan")
    assert share.isnan().tolist() == [True, True, False]


def test_wrong_maps_are_refused():
    masks = torch.ones(2, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"got \(3, 4, 4\) and \(2, 4, 4\)"):
        mass_share(torch.ones(3, 4, 4), masks)
    with pytest.raises(ValueError, match="must not be negative, got a smallest value of -1"):
        mass_share(-torch.ones(2, 4, 4), masks)
    with pytest.raises(ValueError, match='"raise" or "nan"'):
        mass_share(torch.rand(2, 4, 4), masks, on_constant="skip")
    with pytest.raises(TypeError, match=r"masks must be bool, got torch\.uint8"):
        mass_share(torch.rand(2, 4, 4), 255 * masks.to(torch.uint8))


def test_display_map_lies_between_zero_and_one():
    shown = display_map(torch.rand(3, 5, 5) + 4, (20, 20))
    assert shown.shape == (3, 20, 20)
    assert float(shown.min()) == 0
    assert abs(float(shown.max()) - 1) < 1e-5


def test_mean_around_box_equals_a_loop_of_shifts():
    generator = torch.Generator().manual_seed(3)
    maps = torch.rand(9, 6, 6, generator=generator)
    corner = torch.randint(0, 5, (9, 2), generator=generator)
    boxes = torch.cat([corner, corner + 2], dim=1)
    total, count = torch.zeros(6, 6, dtype=torch.float64), torch.zeros(6, 6)
    for image, (row, column) in zip(maps.double(), corner.tolist(), strict=True):
        for i in range(6):
            for j in range(6):
                r, c = row + 1 - 3 + i, column + 1 - 3 + j
                if 0 <= r < 6 and 0 <= c < 6:
                    total[i, j] += image[r, c] / image.mean()
                    count[i, j] += 1
    expected = total / count
    torch.testing.assert_close(mean_around_box(maps, boxes, 6, chunk=4), expected, equal_nan=True)


def test_mean_around_box_of_even_maps_is_one_and_constant_ones_are_left_out():
    maps = torch.full((3, 4, 4), 1.0)
    maps[0, 0, 0] = 1.0 + 1e-6
    boxes = torch.tensor([[0, 0, 2, 2]]).expand(3, 4)
    seen = mean_around_box(maps, boxes, 4)
    torch.testing.assert_close(seen[1:, 1:], torch.ones(3, 3).double(), atol=1e-5, rtol=0)
    assert seen[0].isnan().all()
    with pytest.raises(ValueError, match=r"boxes \(N, 4\), got \(3, 4, 4\) and \(2, 4\)"):
        mean_around_box(maps, boxes[:2], 4)
